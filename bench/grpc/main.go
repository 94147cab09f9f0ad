// Command grpc is hello world over gRPC, and a load for it and for predictions.
//
//	grpc serve HOST:PORT
//	grpc load HOST:PORT METHOD CALLS SECONDS CONNECTIONS
//
// CALLS is a JSON file: a list of {"request": base64, "answer": base64 or null, "floats": [numbers] or null}. An answer
// is the whole message, or the little-endian float32 values at its end to within 1e-4. load makes the calls in turn, one
// at a time on each connection, checks every answer, and prints {"requests": …, "seconds": …, "p50_ms": …, "p99_ms": …}.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// tolerance is that of a probability.
const tolerance = 1e-4

func main() {
	err := errors.New("usage: grpc serve HOST:PORT | grpc load HOST:PORT METHOD CALLS SECONDS CONNECTIONS")
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 7 && os.Args[1] == "load":
		err = load(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve is grpc-go's hello world. HelloRequest and HelloReply, each with one string, are StringValue on the wire.
func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "helloworld.Greeter",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "SayHello", Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			return wrapperspb.String("Hello " + in.GetValue()), nil
		}}},
	}, nil)
	return s.Serve(l)
}

// call is a request, and its answer: a message, or the floats at a message's end.
type call struct {
	Request []byte    `json:"request"`
	Answer  []byte    `json:"answer"`
	Floats  []float32 `json:"floats"`
}

func (c call) check(answer []byte) error {
	if c.Floats == nil {
		if !bytes.Equal(answer, c.Answer) {
			return fmt.Errorf("answered %q", answer)
		}
		return nil
	}
	end := len(answer) - 4*len(c.Floats)
	if end < 0 {
		return fmt.Errorf("answered %d bytes", len(answer))
	}
	for i, want := range c.Floats {
		if got := math.Float32frombits(binary.LittleEndian.Uint32(answer[end+4*i:])); !(math.Abs(float64(got-want)) <= tolerance) {
			return fmt.Errorf("answered %v, not %v", got, want)
		}
	}
	return nil
}

// bare passes messages as they are.
type bare struct{}

func (bare) Name() string                  { return "proto" }
func (bare) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (bare) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

func load(address, method, file, forSeconds, over string) error {
	seconds, err := strconv.ParseFloat(forSeconds, 64)
	if err != nil {
		return err
	}
	connections, err := strconv.Atoi(over)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var calls []call
	if err := json.Unmarshal(data, &calls); err != nil {
		return err
	}
	times := make([][]time.Duration, connections)
	errs := make([]error, connections)
	var wait sync.WaitGroup
	ready, start := sync.WaitGroup{}, make(chan struct{})
	var end time.Time
	ready.Add(connections)
	for i := range connections {
		wait.Go(func() {
			conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(bare{})))
			if err == nil {
				defer conn.Close()
				err = ask(conn, method, calls[i%len(calls)])
			}
			ready.Done()
			<-start
			for n := i; err == nil && time.Now().Before(end); n++ {
				before := time.Now()
				err = ask(conn, method, calls[n%len(calls)])
				times[i] = append(times[i], time.Since(before))
			}
			errs[i] = err
		})
	}
	ready.Wait()
	begun := time.Now()
	end = begun.Add(time.Duration(seconds * float64(time.Second)))
	close(start)
	wait.Wait()
	took := time.Since(begun)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	at := func(share float64) float64 { return all[int(share*float64(len(all)-1))].Seconds() * 1e3 }
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"requests": float64(len(all)), "seconds": took.Seconds(), "p50_ms": at(0.50), "p99_ms": at(0.99)})
}

func ask(conn *grpc.ClientConn, method string, c call) error {
	var answer []byte
	if err := conn.Invoke(context.Background(), method, &c.Request, &answer); err != nil {
		return err
	}
	return c.check(answer)
}
