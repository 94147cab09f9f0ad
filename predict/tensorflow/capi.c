#include "capi.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static struct {
#define FIELD(result, name, parameters) result(*name) parameters;
	FORGO_TF_FUNCTIONS(FIELD)
#undef FIELD
} tf;

// Opens the library, after `first` unless that is NULL.
static void *opened(const char *first, const char *path, char **reason) {
	forgo_quiet(); // it looks at what is set below
	// A library does not write to stderr, unless whoever runs the process asks for it.
	setenv("TF_CPP_MIN_LOG_LEVEL", "3", 0);
	// Each session has the threads it was given; otherwise the first one's count is every one's.
	setenv("TF_OVERRIDE_GLOBAL_THREADPOOL", "1", 0);
	void *lib = NULL;
	if (first == NULL || dlopen(first, RTLD_LAZY | RTLD_LOCAL) != NULL) lib = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	forgo_loud();
	if (lib == NULL) *reason = strdup(dlerror());
	return lib;
}

const char *forgo_tf_open(const char *first, const char *path, char **reason) {
	void *lib = opened(first, path, reason);
	if (lib == NULL) return NULL;
	__typeof__(tf) found;
	const char *missing = NULL;
#define BIND(result, name, parameters) \
	*(void **)&found.name = dlsym(lib, #name); \
	if (found.name == NULL && missing == NULL) missing = #name;
	FORGO_TF_FUNCTIONS(BIND)
#undef BIND
	if (missing != NULL) {
		const char *which = found.TF_Version == NULL ? "it is not TensorFlow" : "it is too old, install a newer TensorFlow 2";
		static const char lacks[] = ": it has no ";
		if ((*reason = malloc(strlen(which) + sizeof lacks + strlen(missing))) != NULL)
			strcat(strcat(strcpy(*reason, which), lacks), missing);
		dlclose(lib);
		return NULL;
	}
	tf = found;
	return tf.TF_Version();
}

// Turns a status into an error and frees it.
static forgo_error done(TF_Status *status) {
	forgo_error e = {tf.TF_GetCode(status), NULL};
	if (e.code != 0) e.message = strdup(tf.TF_Message(status));
	tf.TF_DeleteStatus(status);
	return e;
}

forgo_error forgo_tf_load(const char *dir, const char *const *tags, int ntags, const void *config, size_t config_size,
	TF_Graph **graph, TF_Session **session, TF_Buffer *meta_graph) {
	TF_Status *status = tf.TF_NewStatus();
	TF_SessionOptions *options = tf.TF_NewSessionOptions();
	TF_Buffer *meta = tf.TF_NewBuffer();
	*graph = tf.TF_NewGraph();
	*session = NULL;
	tf.TF_SetConfig(options, config, config_size, status);
	if (tf.TF_GetCode(status) == 0)
		*session = tf.TF_LoadSessionFromSavedModel(options, NULL, dir, tags, ntags, *graph, meta, status);
	tf.TF_DeleteSessionOptions(options);
	*meta_graph = *meta; // the bytes change hands
	meta->data_deallocator = NULL;
	tf.TF_DeleteBuffer(meta);
	if (*session == NULL) {
		forgo_tf_free_buffer(meta_graph);
		tf.TF_DeleteGraph(*graph);
	}
	return done(status);
}

void forgo_tf_free_buffer(TF_Buffer *b) {
	if (b->data_deallocator != NULL) b->data_deallocator((void *)b->data, b->length);
	b->data_deallocator = NULL;
}

void forgo_tf_close(TF_Graph *graph, TF_Session *session) {
	TF_Status *status = tf.TF_NewStatus();
	tf.TF_CloseSession(session, status);
	tf.TF_DeleteSession(session, status);
	tf.TF_DeleteGraph(graph);
	tf.TF_DeleteStatus(status);
}

int forgo_tf_find(TF_Graph *graph, const char *operation, int index, TF_Output *out, int *rank, int64_t *shape) {
	out->oper = tf.TF_GraphOperationByName(graph, operation);
	out->index = index;
	if (out->oper == NULL || index < 0 || index >= tf.TF_OperationNumOutputs(out->oper)) return 0;
	TF_Status *status = tf.TF_NewStatus();
	*rank = tf.TF_GraphGetTensorNumDims(graph, *out, status);
	if (*rank > FORGO_MAX_RANK) *rank = -1;
	if (*rank > 0) tf.TF_GraphGetTensorShape(graph, *out, shape, *rank, status);
	tf.TF_DeleteStatus(status);
	return tf.TF_OperationOutputType(*out);
}

TF_Tensor *forgo_tf_tensor(int type, const int64_t *dims, int ndims, const void *data, size_t size) {
	TF_Tensor *t = tf.TF_AllocateTensor(type, dims, ndims, size);
	if (t != NULL && size > 0) memcpy(tf.TF_TensorData(t), data, size);
	return t;
}

forgo_error forgo_tf_strings(const void *proto, size_t size, TF_Tensor **out) {
	TF_Status *status = tf.TF_NewStatus();
	TF_Buffer *buffer = tf.TF_NewBufferFromString(proto, size);
	*out = tf.TF_AllocateTensor(4 /* uint8, replaced */, NULL, 0, 1);
	tf.TF_TensorFromProto(buffer, *out, status);
	tf.TF_DeleteBuffer(buffer);
	return done(status);
}

void forgo_tf_delete(TF_Tensor **tensors, int n) {
	for (int i = 0; i < n; i++)
		if (tensors[i] != NULL) tf.TF_DeleteTensor(tensors[i]);
}

int forgo_tf_describe(const TF_Tensor *t, int *rank, int64_t *shape, const void **data, size_t *size) {
	*rank = tf.TF_NumDims(t);
	for (int i = 0; i < *rank && i < FORGO_MAX_RANK; i++) shape[i] = tf.TF_Dim(t, i);
	*data = tf.TF_TensorData(t);
	*size = tf.TF_TensorByteSize(t);
	return tf.TF_TensorType(t);
}

void forgo_tf_split(const void *data, size_t n, const char **texts, size_t *sizes) {
	const TF_TString *strings = data;
	for (size_t i = 0; i < n; i++) {
		texts[i] = tf.TF_StringGetDataPointer(&strings[i]);
		sizes[i] = tf.TF_StringGetSize(&strings[i]);
	}
}

forgo_error forgo_tf_run(TF_Session *s, int64_t limit, const TF_Output *inputs, TF_Tensor *const *values, int ninputs,
	const TF_Output *outputs, TF_Tensor **results, int noutputs) {
	TF_Status *status = tf.TF_NewStatus();
	TF_Buffer *options = NULL;
	if (limit > 0) {
		uint8_t proto[11] = {2 << 3}; // RunOptions.timeout_in_ms, a varint
		size_t n = 1;
		for (uint64_t rest = limit; n == 1 || rest > 0; rest >>= 7) proto[n++] = (rest & 0x7f) | (rest > 0x7f ? 0x80 : 0);
		options = tf.TF_NewBufferFromString(proto, n);
	}
	tf.TF_SessionRun(s, options, inputs, values, ninputs, outputs, results, noutputs, NULL, 0, NULL, status);
	if (options != NULL) tf.TF_DeleteBuffer(options);
	return done(status);
}
