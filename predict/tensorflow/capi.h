// The part of TensorFlow's C API that the engine uses, declared by hand, so that building
// needs no TensorFlow. Names and types are those of tensorflow/c/c_api.h, which are stable
// through TensorFlow 2.
#ifndef FORGO_TENSORFLOW_CAPI_H
#define FORGO_TENSORFLOW_CAPI_H

#include <stddef.h>
#include <stdint.h>

typedef struct TF_Status TF_Status;
typedef struct TF_Graph TF_Graph;
typedef struct TF_Operation TF_Operation;
typedef struct TF_Session TF_Session;
typedef struct TF_SessionOptions TF_SessionOptions;
typedef struct TF_Tensor TF_Tensor;

typedef struct {
	TF_Operation *oper;
	int index;
} TF_Output;

typedef struct {
	const void *data;
	size_t length;
	void (*data_deallocator)(void *data, size_t length);
} TF_Buffer;

typedef struct { // 24 bytes; only TensorFlow looks inside
	uint64_t opaque[3];
} TF_TString;

// Every function used: result, name, parameters.
#define FORGO_TF_FUNCTIONS(F) \
	F(const char *, TF_Version, (void)) \
	F(TF_Status *, TF_NewStatus, (void)) \
	F(void, TF_DeleteStatus, (TF_Status *)) \
	F(int, TF_GetCode, (const TF_Status *)) \
	F(const char *, TF_Message, (const TF_Status *)) \
	F(TF_Buffer *, TF_NewBuffer, (void)) \
	F(TF_Buffer *, TF_NewBufferFromString, (const void *, size_t)) \
	F(void, TF_DeleteBuffer, (TF_Buffer *)) \
	F(TF_Graph *, TF_NewGraph, (void)) \
	F(void, TF_DeleteGraph, (TF_Graph *)) \
	F(TF_Operation *, TF_GraphOperationByName, (TF_Graph *, const char *)) \
	F(int, TF_OperationNumOutputs, (TF_Operation *)) \
	F(int, TF_OperationOutputType, (TF_Output)) \
	F(int, TF_GraphGetTensorNumDims, (TF_Graph *, TF_Output, TF_Status *)) \
	F(void, TF_GraphGetTensorShape, (TF_Graph *, TF_Output, int64_t *, int, TF_Status *)) \
	F(TF_SessionOptions *, TF_NewSessionOptions, (void)) \
	F(void, TF_SetConfig, (TF_SessionOptions *, const void *, size_t, TF_Status *)) \
	F(void, TF_DeleteSessionOptions, (TF_SessionOptions *)) \
	F(TF_Session *, TF_LoadSessionFromSavedModel, (const TF_SessionOptions *, const TF_Buffer *, \
		const char *, const char *const *, int, TF_Graph *, TF_Buffer *, TF_Status *)) \
	F(void, TF_SessionRun, (TF_Session *, const TF_Buffer *, const TF_Output *, TF_Tensor *const *, int, \
		const TF_Output *, TF_Tensor **, int, const TF_Operation *const *, int, TF_Buffer *, TF_Status *)) \
	F(void, TF_CloseSession, (TF_Session *, TF_Status *)) \
	F(void, TF_DeleteSession, (TF_Session *, TF_Status *)) \
	F(TF_Tensor *, TF_AllocateTensor, (int, const int64_t *, int, size_t)) \
	F(void, TF_TensorFromProto, (const TF_Buffer *, TF_Tensor *, TF_Status *)) \
	F(void, TF_DeleteTensor, (TF_Tensor *)) \
	F(int, TF_TensorType, (const TF_Tensor *)) \
	F(int, TF_NumDims, (const TF_Tensor *)) \
	F(int64_t, TF_Dim, (const TF_Tensor *, int)) \
	F(size_t, TF_TensorByteSize, (const TF_Tensor *)) \
	F(void *, TF_TensorData, (const TF_Tensor *)) \
	F(const char *, TF_StringGetDataPointer, (const TF_TString *)) \
	F(size_t, TF_StringGetSize, (const TF_TString *))

// A failure. The message is the caller's to free; NULL means success.
typedef struct {
	int code;
	char *message;
} forgo_error;

enum { FORGO_DEADLINE_EXCEEDED = 4 }; // TF_Code

// Opens the library, after `first` unless that is NULL, and binds every function. Returns its
// version, or NULL with *reason set, which is the caller's to free. Not for concurrent use;
// all that follow are, once it has succeeded.
const char *forgo_tf_open(const char *first, const char *path, char **reason);

// Between these, which do not nest, C's stderr is without what TensorFlow says of itself unasked.
void forgo_quiet(void);
void forgo_loud(void);

forgo_error forgo_tf_load(const char *dir, const char *const *tags, int ntags, const void *config, size_t config_size,
	TF_Graph **graph, TF_Session **session, TF_Buffer *meta_graph);
void forgo_tf_free_buffer(TF_Buffer *b);
void forgo_tf_close(TF_Graph *graph, TF_Session *session);

enum { FORGO_MAX_RANK = 32 }; // of tensors here, and the room that shapes below need

// Finds output `index` of an operation. Returns its type, or 0 where there is none. *rank is -1
// where it is unknown.
int forgo_tf_find(TF_Graph *graph, const char *operation, int index, TF_Output *out, int *rank, int64_t *shape);

TF_Tensor *forgo_tf_tensor(int type, const int64_t *dims, int ndims, const void *data, size_t size);
forgo_error forgo_tf_strings(const void *proto, size_t size, TF_Tensor **out);
void forgo_tf_delete(TF_Tensor **tensors, int n);
int forgo_tf_describe(const TF_Tensor *t, int *rank, int64_t *shape, const void **data, size_t *size);
void forgo_tf_split(const void *data, size_t n, const char **texts, size_t *sizes);

// Runs with a time limit in milliseconds, or none where it is 0.
forgo_error forgo_tf_run(TF_Session *s, int64_t limit, const TF_Output *inputs, TF_Tensor *const *values, int ninputs,
	const TF_Output *outputs, TF_Tensor **results, int noutputs);

#endif
