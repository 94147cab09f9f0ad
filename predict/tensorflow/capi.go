package tensorflow

// The part of TensorFlow's C API that the engine uses, called without cgo. Names and types are those of
// tensorflow/c/c_api.h (2.21), which are stable throughout TensorFlow 2.

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/internal/clib"
)

// api holds the addresses of functions. A field's function is called TF_ and the field's name.
type api struct {
	Version,
	NewStatus, DeleteStatus, GetCode, Message,
	NewBuffer, NewBufferFromString, DeleteBuffer,
	NewGraph, DeleteGraph, GraphOperationByName,
	OperationNumOutputs, OperationOutputType, GraphGetTensorNumDims, GraphGetTensorShape,
	NewSessionOptions, SetConfig, DeleteSessionOptions,
	LoadSessionFromSavedModel, SessionRun, CloseSession, DeleteSession,
	AllocateTensor, TensorFromProto, DeleteTensor, TensorType, NumDims, Dim, TensorByteSize, TensorData,
	StringGetDataPointer, StringGetSize uintptr
}

// tf is set once a suitable library is found, before anything else in this file is used.
var tf api

// bind finds the functions in a library.
func bind(library uintptr) (found api, err error) {
	fields := reflect.ValueOf(&found).Elem()
	for i := range fields.NumField() {
		name := "TF_" + fields.Type().Field(i).Name
		address := clib.Symbol(library, name)
		switch {
		case address != 0:
		case found.Version == 0:
			return found, fmt.Errorf("it is not TensorFlow: it has no %s", name)
		default:
			return found, fmt.Errorf("it is too old, install a newer TensorFlow 2: it has no %s", name)
		}
		fields.Field(i).SetUint(uint64(address))
	}
	return found, nil
}

// TF_Code.
const (
	invalidArgument  = 3 // values that an operation does not take
	deadlineExceeded = 4
)

// failure is an error of TensorFlow: its first line, since the others are traces.
type failure struct {
	code int32
	error
}

// done frees a TF_Status and returns its error, if any.
func done(status uintptr) (f failure) {
	if f.code = int32(clib.Call(tf.GetCode, status)); f.code != 0 {
		f.error = errors.New(clib.Line(clib.Call(tf.Message, status)))
	}
	clib.Call(tf.DeleteStatus, status)
	return f
}

// output is a TF_Output. Passed by value, it is two arguments on amd64 and arm64, except on Windows.
type output struct {
	operation uintptr
	index     int32
	_         int32
}

// loadModel returns the graph and the session of a SavedModel, and its MetaGraphDef.
func loadModel(dir string, tags []string, config []byte) (graph, session uintptr, meta []byte, err error) {
	path, names, list := clib.String(dir), make([][]byte, len(tags)), make([]uintptr, len(tags)+1)
	for i, tag := range tags {
		names[i] = clib.String(tag)
	}
	pinned := pin(names, list)
	defer pinned.Unpin()
	status, options, buffer := clib.Call(tf.NewStatus), clib.Call(tf.NewSessionOptions), clib.Call(tf.NewBuffer)
	graph = clib.Call(tf.NewGraph)
	clib.Call(tf.SetConfig, options, uintptr(unsafe.Pointer(unsafe.SliceData(config))), uintptr(len(config)), status)
	if clib.Call(tf.GetCode, status)&0xffffffff == 0 {
		session = clib.Call(tf.LoadSessionFromSavedModel, options, 0, uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&list[0])),
			uintptr(len(tags)), graph, buffer, status)
	}
	clib.Call(tf.DeleteSessionOptions, options)
	if session == 0 {
		clib.Call(tf.DeleteGraph, graph)
	} else {
		// TF_Buffer: an address and a length.
		meta = append(meta, clib.Bytes(clib.At[uintptr](buffer, 0), int(clib.At[uintptr](buffer, 8)))...)
	}
	clib.Call(tf.DeleteBuffer, buffer)
	if f := done(status); f.error != nil {
		return 0, 0, nil, f.error
	}
	if session == 0 {
		return 0, 0, nil, errors.New("TensorFlow failed without a message")
	}
	return graph, session, meta, nil
}

func closeModel(graph, session uintptr) {
	status := clib.Call(tf.NewStatus)
	clib.Call(tf.CloseSession, session, status)
	clib.Call(tf.DeleteSession, session, status)
	clib.Call(tf.DeleteGraph, graph)
	clib.Call(tf.DeleteStatus, status)
}

// maxRank bounds the rank of tensors.
const maxRank = 32

// findOutput finds output index of an operation. Its type is 0 if there is none. known is false if the
// graph does not specify its rank.
func findOutput(graph uintptr, operation string, index int) (at output, number int, shape []int64, known bool) {
	name := clib.String(operation)
	at = output{operation: clib.Call(tf.GraphOperationByName, graph, uintptr(unsafe.Pointer(&name[0]))), index: int32(index)}
	if at.operation == 0 || index < 0 || index >= int(int32(clib.Call(tf.OperationNumOutputs, at.operation))) {
		return at, 0, nil, false
	}
	status := clib.Call(tf.NewStatus)
	rank := int(int32(clib.Call(tf.GraphGetTensorNumDims, graph, at.operation, uintptr(index), status)))
	if known = rank >= 0 && rank <= maxRank; known {
		shape = make([]int64, rank)
	}
	if len(shape) > 0 {
		clib.Call(tf.GraphGetTensorShape, graph, at.operation, uintptr(index), uintptr(unsafe.Pointer(&shape[0])), uintptr(rank), status)
	}
	clib.Call(tf.DeleteStatus, status)
	return at, int(int32(clib.Call(tf.OperationOutputType, at.operation, uintptr(index)))), shape, known
}

// runModel runs a graph. options is a serialized RunOptions, or nil.
func runModel(session uintptr, options []byte, inputs []output, values []uintptr, outputs []output, results []uintptr) failure {
	status, buffer := clib.Call(tf.NewStatus), uintptr(0)
	if options != nil {
		buffer = clib.Call(tf.NewBufferFromString, uintptr(unsafe.Pointer(unsafe.SliceData(options))), uintptr(len(options)))
	}
	clib.Call(tf.SessionRun, session, buffer,
		uintptr(unsafe.Pointer(unsafe.SliceData(inputs))), uintptr(unsafe.Pointer(unsafe.SliceData(values))), uintptr(len(inputs)),
		uintptr(unsafe.Pointer(unsafe.SliceData(outputs))), uintptr(unsafe.Pointer(unsafe.SliceData(results))), uintptr(len(outputs)),
		0, 0, 0, status)
	if buffer != 0 {
		clib.Call(tf.DeleteBuffer, buffer)
	}
	return done(status)
}

// makeTensor returns a TensorFlow tensor with a copy of data, or 0 on failure.
func makeTensor(number int, shape []int64, data []byte) uintptr {
	made := clib.Call(tf.AllocateTensor, uintptr(number), uintptr(unsafe.Pointer(unsafe.SliceData(shape))), uintptr(len(shape)), uintptr(len(data)))
	if made != 0 && len(data) > 0 {
		copy(clib.Bytes(clib.Call(tf.TensorData, made), len(data)), data)
	}
	return made
}

// makeFromProto returns the tensor in a serialized TensorProto.
func makeFromProto(proto []byte) (uintptr, error) {
	status := clib.Call(tf.NewStatus)
	buffer := clib.Call(tf.NewBufferFromString, uintptr(unsafe.Pointer(unsafe.SliceData(proto))), uintptr(len(proto)))
	made := clib.Call(tf.AllocateTensor, 4 /* uint8, replaced */, 0, 0, 1)
	clib.Call(tf.TensorFromProto, buffer, made, status)
	clib.Call(tf.DeleteBuffer, buffer)
	if f := done(status); f.error != nil {
		freeTensors(made)
		return 0, f.error
	}
	return made, nil
}

func freeTensors(tensors ...uintptr) {
	for _, t := range tensors {
		if t != 0 {
			clib.Call(tf.DeleteTensor, t)
		}
	}
}

// stringSize is the size of a TF_TString in bytes.
const stringSize = 24

// textAt returns string i of a tensor's data. TensorFlow owns its memory.
func textAt(data uintptr, i int) []byte {
	at := data + uintptr(i)*stringSize
	return clib.Bytes(clib.Call(tf.StringGetDataPointer, at), int(clib.Call(tf.StringGetSize, at)))
}

// pin sets list to the addresses of names, which do not move until they are unpinned.
func pin(names [][]byte, list []uintptr) *runtime.Pinner {
	pinned := new(runtime.Pinner)
	for i, name := range names {
		pinned.Pin(&name[0])
		list[i] = uintptr(unsafe.Pointer(&name[0]))
	}
	return pinned
}
