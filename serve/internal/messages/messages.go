// Package messages keeps gRPC messages within the memory of requests. grpc-go decompresses and unmarshals
// messages without asking. Here both happen within the budget, and an answer counts until it is sent.
package messages

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
	"google.golang.org/protobuf/proto"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/minrate"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/shed"
)

// Messages are the messages of a server.
type Messages struct {
	memory   *predict.Budget
	maxBody  int64
	patience time.Duration
}

// New returns messages of up to maxBody bytes each, within a budget that may be nil. A client has patience
// to read an answer, and more for a long one.
func New(memory *predict.Budget, maxBody int64, patience time.Duration) *Messages {
	return &Messages{memory, maxBody, patience}
}

// Options returns server options that make the services of Register count their messages.
func (m *Messages) Options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(m.maxBody)),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		//lint:ignore SA1019 it is the only one that is this server's alone
		grpc.RPCDecompressor(asSent{}),
	}
}

// asSent passes on compressed messages unchanged. No message begins as gzip does.
type asSent struct{}

func (asSent) Do(r io.Reader) ([]byte, error) { return io.ReadAll(r) }
func (asSent) Type() string                   { return "gzip" }

var gzipMagic = []byte{0x1f, 0x8b}

// codec is protobuf's codec with counted messages.
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
		return fmt.Errorf("a %T is not a message", v)
	}
	// A message of health or reflection.
	if bytes.HasPrefix(raw, gzipMagic) {
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
	buf, err := a.append(make([]byte, 0, a.size))
	a.Message = nil
	if err != nil || mem.IsBelowBufferPoolingThreshold(cap(buf)) {
		a.account.release()
		return mem.BufferSlice{mem.SliceBuffer(buf)}, err
	}
	a.hangUp()
	data := &buf
	// The transport frees what it has sent, but may forget some if a connection breaks.
	runtime.AddCleanup(data, func(a *account) { a.release() }, a.account)
	return mem.BufferSlice{mem.NewBuffer(data, sent{a.account})}, nil
}

// sent is notified when a message has been sent.
type sent struct{ *account }

func (sent) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (s sent) Put(*[]byte)     { s.release() }

// account is one call's share of the budget.
type account struct {
	budget *predict.Budget
	taken  atomic.Int64
	timer  atomic.Pointer[time.Timer]
	client atomic.Pointer[shed.Client] // the client that receives an answer
}

// take reserves bytes, for which slow clients may have to make room, or returns some.
func (a *account) take(n int64) error {
	more := func() error { return a.budget.More(a.taken.Load(), n) }
	if err := shed.Within(nil, more); err != nil {
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

// answer is a message to be sent.
type answer struct {
	proto.Message
	size    int
	byHand  bool // it writes itself
	account *account
	conn    *connection.Conn // nil where it is not known
	wait    time.Duration
}

func (a *answer) append(dst []byte) ([]byte, error) {
	if w, ok := a.Message.(writable); ok && a.byHand {
		return w.AppendWire(dst), nil
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, a.Message)
}

// hangUp closes the connection of a client that does not read the answer in time.
func (a *answer) hangUp() {
	if conn := a.conn; conn != nil {
		a.account.timer.Store(time.AfterFunc(a.wait, func() {
			_ = conn.Close()
			a.account.release() // the connection's memory is garbage now
		}))
		if a.size >= shed.Worthwhile {
			a.account.client.Store(shed.Begin(conn.Moved, func() {
				_ = conn.Close()
				a.account.release()
			}))
		}
	}
}

// Register registers a service whose messages are counted.
func (m *Messages) Register(server *grpc.Server, desc *grpc.ServiceDesc, service any) {
	d := *desc
	d.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range desc.Methods {
		d.Methods[i] = grpc.MethodDesc{MethodName: method.MethodName, Handler: m.counted(method.Handler)}
	}
	server.RegisterService(&d, service)
}

func (m *Messages) counted(next grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		a := &account{budget: m.memory}
		out, err := next(srv, ctx, func(v any) error {
			message, ok := v.(proto.Message)
			if !ok {
				return status.Errorf(codes.Internal, "a %T is not a message", v)
			}
			f := frame{read: func(raw []byte) error { return m.unmarshal(raw, message, a) }}
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
		size, byHand := 0, false
		if w, ok := message.(writable); ok {
			size, byHand = w.SizeWire()
		}
		if !byHand {
			size = proto.Size(message)
		}
		if err := a.take(int64(size)); err != nil {
			a.release()
			return nil, reply.RPC(err)
		}
		return &answer{
			Message: message, size: size, byHand: byHand, account: a,
			conn: connection.Of(ctx), wait: minrate.Allowed(m.patience, int64(size)),
		}, nil
	}
}

// readable is a message that can decode itself, unless it is unusual; writable is one that can encode
// itself.
type (
	readable interface{ ReadWire(message []byte) bool }
	writable interface {
		SizeWire() (size int, ok bool)
		AppendWire(dst []byte) []byte
	}
)

// unmarshal reserves a message's memory and decodes it.
func (m *Messages) unmarshal(raw []byte, message proto.Message, a *account) error {
	if bytes.HasPrefix(raw, gzipMagic) {
		var err error
		if raw, err = gunzipMessage(raw, m.maxBody, a.take); err != nil {
			return tooMuch(err)
		}
	}
	n, err := layoutOf(message.ProtoReflect().Descriptor()).cost(raw, 0)
	if err == nil {
		if err := a.take(n); err != nil {
			return tooMuch(err)
		}
		if r, ok := message.(readable); ok && r.ReadWire(raw) {
			return nil
		}
		err = proto.Unmarshal(raw, message) // this starts over
	}
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "the message is not readable: %v", err)
	}
	return nil
}

func tooMuch(err error) error {
	if errors.Is(err, predict.ErrBusy) || errors.Is(err, errTooLong) {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return status.Errorf(codes.InvalidArgument, "the message cannot be decompressed: %v", err)
}

var errTooLong = errors.New("the decompressed message is larger than max, the server's --max-body")

// gunzipMessage decompresses a message of at most most bytes.
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
