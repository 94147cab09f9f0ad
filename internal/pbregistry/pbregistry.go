// Package pbregistry holds the protobuf types that forgo generates.
//
// Go's protobuf registry is one for the process, and it panics when a second package registers a name.
// KServe's, Triton's and TensorFlow Serving's own stubs have the same names as forgo's, which the
// protocols fix. A program that imports both would not start, so forgo's register here.
package pbregistry

import (
	"errors"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Files are the .proto files of forgo's protocols. Files that they import are found in
// [protoregistry.GlobalFiles].
var Files = &files{own: new(protoregistry.Files)}

// Types are the messages and enumerations in Files.
var Types = new(protoregistry.Types)

type files struct{ own *protoregistry.Files }

// RegisterFile adds a file. The generated code calls it while the program starts.
func (f *files) RegisterFile(file protoreflect.FileDescriptor) error { return f.own.RegisterFile(file) }

// FindFileByPath returns the file of that path: forgo's, else the process's.
func (f *files) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	file, err := f.own.FindFileByPath(path)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindFileByPath(path)
	}
	return file, err
}

// FindDescriptorByName returns what has that full name: forgo's, else the process's.
func (f *files) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	d, err := f.own.FindDescriptorByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindDescriptorByName(name)
	}
	return d, err
}
