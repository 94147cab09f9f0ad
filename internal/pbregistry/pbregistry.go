// Package pbregistry holds the protobuf types that forgo generates.
//
// A process has one global protobuf registry, which panics if two packages register the same name. The
// protocols fix the names, so KServe's, Triton's and TensorFlow Serving's own stubs have the same names as
// forgo's. A program that imports both would not start. Therefore forgo's stubs register here instead.
package pbregistry

import (
	"errors"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Files holds the .proto files of forgo's protocols. It finds their imports in
// [protoregistry.GlobalFiles].
var Files = &files{own: new(protoregistry.Files)}

// Types holds the messages and enumerations in Files.
var Types = new(protoregistry.Types)

type files struct{ own *protoregistry.Files }

// RegisterFile adds a file. Generated code calls it while the program starts.
func (f *files) RegisterFile(file protoreflect.FileDescriptor) error { return f.own.RegisterFile(file) }

// FindFileByPath returns forgo's file of that path, or else the process's.
func (f *files) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	file, err := f.own.FindFileByPath(path)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindFileByPath(path)
	}
	return file, err
}

// FindDescriptorByName returns forgo's descriptor of that full name, or else the process's.
func (f *files) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	d, err := f.own.FindDescriptorByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindDescriptorByName(name)
	}
	return d, err
}
