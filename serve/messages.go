package serve

// gRPC messages within the memory that requests may take. grpc-go unpacks and unmarshals a message
// before anybody is asked; here both happen under the budget, and an answer counts until it is sent.

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that this one stands on
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/slow"
)

// asSent hands packed messages on as they are: nothing that begins as gzip does is a message.
type asSent struct{}

func (asSent) Do(r io.Reader) ([]byte, error) { return io.ReadAll(r) }
func (asSent) Type() string                   { return "gzip" }

var gzipMagic = []byte{0x1f, 0x8b}

// codec is protobuf's, with messages that are counted.
type codec struct{ encoding.CodecV2 }

// frame is a message that is about to be read.
type frame struct {
	read func(raw []byte) error
	err  error
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	raw := buf.ReadOnlyData()
	if f, ok := v.(*frame); ok {
		f.err = f.read(raw)
		return nil
	}
	message, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("a %T is no message", v)
	}
	if bytes.HasPrefix(raw, gzipMagic) { // of health or reflection
		var err error
		if raw, err = gunzipMessage(raw, 1<<20, func(int64) error { return nil }); err != nil {
			return err
		}
	}
	return proto.Unmarshal(raw, message)
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	a, ok := v.(*answer)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	buf, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 0, a.size), a.Message)
	a.Message = nil
	if err != nil || mem.IsBelowBufferPoolingThreshold(cap(buf)) {
		a.account.release()
		return mem.BufferSlice{mem.SliceBuffer(buf)}, err
	}
	a.hangUp()
	data := &buf
	// The transport frees what it has sent; of a connection that breaks it may forget some.
	runtime.AddCleanup(data, func(a *account) { a.release() }, a.account)
	return mem.BufferSlice{mem.NewBuffer(data, sent{a.account})}, nil
}

// sent is told when a message is sent.
type sent struct{ *account }

func (sent) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (s sent) Put(*[]byte)     { s.release() }

// account is what one call has taken of the budget.
type account struct {
	budget *predict.Budget
	taken  atomic.Int64
	timer  atomic.Pointer[time.Timer]
	client atomic.Pointer[slow.Client] // who takes an answer
}

// take takes bytes, where clients that are slow can make room for them, or gives some back.
func (a *account) take(n int64) error {
	more := func() error { return a.budget.More(a.taken.Load(), n) }
	if err := slow.Within(nil, more); err != nil {
		return err
	}
	a.taken.Add(n)
	return nil
}

func (a *account) release() {
	a.budget.Give(a.taken.Swap(0))
	if t := a.timer.Swap(nil); t != nil {
		t.Stop()
	}
	if c := a.client.Swap(nil); c != nil {
		c.End()
	}
}

// answer is a message on its way out.
type answer struct {
	proto.Message
	size    int
	account *account
	conn    *connection.Conn // nil where it is not known
	wait    time.Duration
}

// hangUp closes the connection of a client that does not take the answer in time.
func (a *answer) hangUp() {
	if conn := a.conn; conn != nil {
		a.account.timer.Store(time.AfterFunc(a.wait, func() {
			_ = conn.Close()
			a.account.release() // with the connection what it holds is garbage
		}))
		if a.size >= slow.Worthwhile {
			a.account.client.Store(slow.Begin(conn.Moved, func() {
				_ = conn.Close()
				a.account.release()
			}))
		}
	}
}

// counted registers a service whose messages are counted.
func (s *Server) counted(server *grpc.Server, desc *grpc.ServiceDesc, service any) {
	d := *desc
	d.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		d.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: s.countedCall(m.Handler)}
	}
	server.RegisterService(&d, service)
}

func (s *Server) countedCall(next grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		a := &account{budget: s.options.Memory}
		out, err := next(srv, ctx, func(v any) error {
			message, ok := v.(proto.Message)
			if !ok {
				return status.Errorf(codes.Internal, "a %T is no message", v)
			}
			f := frame{read: func(raw []byte) error { return s.unmarshal(raw, message, a) }}
			if err := dec(&f); err != nil {
				return err
			}
			return f.err
		}, interceptor)
		message, ok := out.(proto.Message)
		if err != nil || !ok {
			a.release()
			return out, err
		}
		size := proto.Size(message)
		if err := a.take(int64(size)); err != nil {
			a.release()
			return nil, reply.RPC(err)
		}
		return &answer{
			Message: message, size: size, account: a,
			conn: connection.Of(ctx), wait: allowed(s.options.ClientTimeout, int64(size)),
		}, nil
	}
}

// unmarshal reads a message, what it takes reserved first.
func (s *Server) unmarshal(raw []byte, message proto.Message, a *account) error {
	if bytes.HasPrefix(raw, gzipMagic) {
		var err error
		if raw, err = gunzipMessage(raw, s.options.MaxBody, a.take); err != nil {
			return tooMuch(err)
		}
	}
	n, err := cost(raw, message.ProtoReflect().Descriptor(), 0)
	if err == nil {
		if err := a.take(n); err != nil {
			return tooMuch(err)
		}
		err = proto.Unmarshal(raw, message)
	}
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "the message cannot be read: %v", err)
	}
	return nil
}

func tooMuch(err error) error {
	if errors.Is(err, predict.ErrBusy) || errors.Is(err, errTooLong) {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return status.Errorf(codes.InvalidArgument, "the message cannot be unpacked: %v", err)
}

var errTooLong = errors.New("the message is larger than max, the server's --max-body, once it is unpacked")

// gunzipMessage unpacks a message of at most so many bytes.
func gunzipMessage(raw []byte, most int64, grow func(int64) error) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	out := []byte{}
	for {
		if len(out) == cap(out) {
			if int64(len(out)) > most {
				return nil, fmt.Errorf("%w: more than %d bytes", errTooLong, most)
			}
			larger := int(min(int64(max(4<<10, 2*cap(out))), most+1))
			if err := grow(int64(larger)); err != nil {
				return nil, err
			}
			before := int64(cap(out))
			out = append(make([]byte, 0, larger), out...)
			if err := grow(-before); err != nil {
				return nil, err
			}
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if errors.Is(err, io.EOF) {
			if int64(len(out)) > most {
				return nil, fmt.Errorf("%w: more than %d bytes", errTooLong, most)
			}
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// What the parts of a message take beside their bytes, generously.
const (
	messageSize = 192
	entrySize   = 256
	pointerSize = 24
	maxNested   = 64
)

// cost is the memory that a message will take.
func cost(raw []byte, d protoreflect.MessageDescriptor, depth int) (int64, error) {
	if depth > maxNested {
		return 0, fmt.Errorf("messages are nested deeper than %d", maxNested)
	}
	total := int64(messageSize)
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		raw = raw[n:]
		field := d.Fields().ByNumber(number)
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, raw); n < 0 {
				return 0, protowire.ParseError(n)
			}
			raw = raw[n:]
			total += pointerSize
			continue
		}
		value, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		raw = raw[n:]
		switch {
		case field == nil:
			total += int64(len(value)) + pointerSize
		case field.Message() != nil:
			inner, err := cost(value, field.Message(), depth+1)
			if err != nil {
				return 0, err
			}
			total += inner + pointerSize
			if field.IsMap() {
				total += entrySize
			}
		case field.Kind() == protoreflect.StringKind || field.Kind() == protoreflect.BytesKind:
			total += int64(len(value)) + 2*pointerSize
		default:
			total += packedSize(field.Kind(), value) + pointerSize
		}
	}
	return total, nil
}

// packedSize is what packed numbers take.
func packedSize(kind protoreflect.Kind, value []byte) int64 {
	wide := int64(0)
	switch kind {
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind,
		protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return int64(len(value))
	case protoreflect.BoolKind:
		wide = 1
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Uint32Kind, protoreflect.EnumKind:
		wide = 4
	default:
		wide = 8
	}
	n := int64(0)
	for _, b := range value {
		if b < 0x80 {
			n++
		}
	}
	return n * wide
}
