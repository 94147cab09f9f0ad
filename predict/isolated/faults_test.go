//go:build linux

package isolated

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
)

// deaths are ways in which a child ends.
var deaths = []func(){
	func() { os.Exit(0) },
	func() { os.Exit(3) },
	func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) },
	func() { panic("at the engine's") },
	func() { _ = syscall.Kill(os.Getpid(), syscall.SIGABRT) },
}

func TestAChildThatEnds(t *testing.T) {
	for i := range deaths {
		s := open(t, Engine(fake{name: "dying"}, Options{Available: true}), predict.Graph{Data: []byte{}}, predict.SessionOptions{}).(*session)
		if y, err := answered(s.Run(t.Context(), given(4), []string{"y"})); err != nil || y != 8 {
			t.Fatalf("before: %v, %v", y, err)
		}
		_, err := s.Run(t.Context(), given(float32(-1-i)), []string{"y"})
		if !errors.Is(err, predict.ErrUnavailable) {
			t.Errorf("death %d: %v", i, err)
		}
		t.Log(err)
		select {
		case <-s.Gone():
		case <-time.After(time.Minute):
			t.Fatal("nobody hears of it")
		}
		if s.Err() == nil {
			t.Error("it ended for no reason")
		}
		if _, err := s.Run(t.Context(), given(4), []string{"y"}); !errors.Is(err, predict.ErrUnavailable) {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// Each of many callers gets the right answer or an error, whenever the child ends.
func TestCallersOfAChildThatIsKilled(t *testing.T) {
	for round := range 5 {
		s := open(t, Engine(fake{name: "dying"}, Options{Available: true}), predict.Graph{Data: []byte{}}, predict.SessionOptions{}).(*session)
		var right, without atomic.Int64
		var callers sync.WaitGroup
		for caller := range 32 {
			callers.Go(func() {
				for i := 0; ; i++ {
					x := float32(1000*caller + i%1000)
					y, err := answered(s.Run(context.Background(), given(x), []string{"y"}))
					switch {
					case err == nil && y == 2*x:
						right.Add(1)
						continue
					case err == nil:
						t.Errorf("got %v for %v", y, x)
					case errors.Is(err, predict.ErrUnavailable):
						without.Add(1)
					default:
						t.Errorf("got %v", err)
					}
					return
				}
			})
		}
		for end := time.Now().Add(time.Minute); right.Load() < int64(100*(round+1)) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		callers.Wait()
		if without.Load() != 32 {
			t.Errorf("%d callers heard of it", without.Load())
		}
	}
}

// A run that does not end is ended with its child. Until then others are answered.
func TestARunThatDoesNotEnd(t *testing.T) {
	s := open(t, Engine(fake{name: "endless"}, Options{Available: true}), predict.Graph{Data: []byte{}}, predict.SessionOptions{RunTimeout: 100 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, given(-1), []string{"y"})
		ended <- err
	}()
	if y, err := answered(s.Run(t.Context(), given(4), []string{"y"})); err != nil || y != 8 {
		t.Errorf("beside it: %v, %v", y, err)
	}
	if err := <-ended; !errors.Is(err, predict.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	m := s.(engines.Mortal)
	select {
	case <-m.Gone():
	case <-time.After(time.Minute):
		t.Fatal("the child goes on")
	}
	if !strings.Contains(m.Err().Error(), "100ms") {
		t.Errorf("got %v", m.Err())
	}
}

// A caller who leaves early ends nobody's engine.
func TestACallerWhoLeaves(t *testing.T) {
	s := open(t, Engine(fake{name: "slow"}, Options{Available: true}), predict.Graph{Data: []byte{}}, predict.SessionOptions{RunTimeout: time.Hour})
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := s.Run(ctx, given(1e6), []string{"y"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := s.Run(ctx, given(1e6), []string{"y"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if y, err := answered(s.Run(t.Context(), given(1), []string{"y"})); err != nil || y != 1 {
		t.Errorf("afterwards: %v, %v", y, err)
	}
	if n := len(s.(*session).pending); n > 0 {
		t.Errorf("%d runs are remembered", n)
	}
}

// One that does not read what it is sent holds its callers up for no longer than their time.
func TestAChildThatIsStopped(t *testing.T) {
	s := open(t, Engine(fake{name: "dying"}, Options{Available: true}), predict.Graph{Data: []byte{}}, predict.SessionOptions{RunTimeout: 100 * time.Millisecond}).(*session)
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	large := make([]float32, 8<<20) // more than the socket holds
	_, err := s.Run(ctx, given(large...), []string{"y"})
	if !errors.Is(err, predict.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// lie is what a child sends instead of an answer to run 1.
type lie struct {
	name  string
	bytes []byte
	then  bool // and then the answer
}

func result(id uint64, meta []byte, data ...byte) []byte {
	return append(frame{kind: kindResult, id: id, meta: meta}.head(), data...)
}

// heads writes the head of one tensor.
func heads(at, dtype, rank int, bytes uint64, shape ...uint64) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{1, 0}, uint16(at))
	b = append(b, byte(dtype), byte(rank))
	for _, d := range shape {
		b = binary.LittleEndian.AppendUint64(b, d)
	}
	return binary.LittleEndian.AppendUint64(b, bytes)
}

const float32Type, stringType = 11, 13

var lies = []lie{
	{"noise", []byte(strings.Repeat("\xa5", 64)), false},
	{"a meta of 4 GiB", []byte{byte(kindResult), 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0}, false},
	{"another type", result(1, heads(0, 4, 1, 8, 1), 1, 2, 3, 4, 5, 6, 7, 8), false},
	{"a type that is none", result(1, heads(0, 200, 1, 8, 1)), false},
	{"a shape of 2^62", result(1, heads(0, float32Type, 1, 1<<62, 1<<60)), false},
	{"sizes that overflow", result(1, heads(0, float32Type, 2, 4, 1<<33, 1<<33)), false},
	{"a negative size", result(1, heads(0, float32Type, 1, 4, math.MaxUint64)), false},
	{"more bytes than the shape takes", result(1, heads(0, float32Type, 1, 1<<40, 1)), false},
	{"more than may come", result(1, heads(0, float32Type, 1, 2<<30, 512<<20)), false},
	{"a rank of 255", result(1, heads(0, float32Type, 255, 4)), false},
	{"another output", result(1, heads(2, 0, 1, 1, 1), 1), false},
	{"no output", result(1, []byte{0, 0}), false},
	{"many outputs", result(1, append([]byte{255, 255}, heads(0, float32Type, 1, 4, 1)[2:]...)), false},
	{"half a head", result(1, heads(0, float32Type, 1, 4, 1)[:9]), false},
	{"nothing at all", result(1, nil), false},
	{"more than heads", result(1, append(heads(0, float32Type, 1, 4, 1), 1, 2, 3), 0, 0, 0, 0), false},
	{"run 7", result(7, heads(0, float32Type, 1, 4, 1), 0, 0, 0, 0), false},
	{"an end without an answer", frame{kind: kindEnded, id: 1}.head(), false},
	{"a message of the parent's", frame{kind: kindRun, id: 1}.head(), false},
	{"opened again", frame{kind: kindOpened, meta: []byte("{}")}.head(), false},
	{"an error that is none", frame{kind: kindFailed, id: 1}.head(), false},
	{"an error of a kind that is none", frame{kind: kindFailed, id: 1, meta: []byte{99}}.head(), false},
	{"an error of a megabyte", frame{kind: kindFailed, id: 1, meta: make([]byte, 1<<20)}.head(), false},
	{"flags that are none", []byte{byte(kindResult), 7, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, false},
	{"two answers", result(1, heads(0, float32Type, 1, 4, 1), 0, 0, 128, 63), true},
}

// say writes to the parent, past all that writes there as it should.
func say(b []byte) {
	for fd := socketFD; fd < 64; fd++ {
		if target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && strings.HasPrefix(target, "socket:") {
			writeAll(fd, b)
			return
		}
	}
}

func writeAll(fd int, b []byte) {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			return
		}
		b = b[max(n, 0):]
	}
}

// What a child sends is checked before memory is taken for it, and whatever it is ends the child alone.
func TestAChildThatLies(t *testing.T) {
	before := resident(t)
	for i, l := range lies {
		s := open(t, Engine(fake{name: "liar"}, Options{Available: true, Memory: 1 << 30}), predict.Graph{Data: []byte{}}, predict.SessionOptions{}).(*session)
		y, err := answered(s.Run(t.Context(), given(float32(i)), []string{"y"}))
		if l.then && err == nil && y == 1 {
			_, err = s.Run(t.Context(), given(float32(i)), []string{"y"}) // the second answer was one too many
		}
		if !errors.Is(err, predict.ErrUnavailable) {
			t.Errorf("%s: got %v, %v", l.name, y, err)
		}
	}
	if grown := resident(t) - before; grown > 64<<20 {
		t.Errorf("the parent has grown by %d bytes", grown)
	}
}

// openings are what a child says of its graph.
var openings = []struct {
	name  string
	bytes []byte
}{
	{"noise", []byte(strings.Repeat("\xa5", 64))},
	{"no JSON", frame{kind: kindOpened, meta: []byte("{{")}.head()},
	{"a result", result(0, heads(0, float32Type, 1, 4, 1))},
	{"many inputs", frame{kind: kindOpened, meta: []byte(`{"Inputs":[` + strings.Repeat("{},", 1<<13) + `{}]}`)}.head()},
	{"a type that is none", frame{kind: kindOpened, meta: []byte(`{"Inputs":[{"Name":"x","DType":"complex64","Shape":[1]}]}`)}.head()},
	{"a negative size", frame{kind: kindOpened, meta: []byte(`{"Inputs":[{"Name":"x","DType":"float32","Shape":[-7]}]}`)}.head()},
	{"signatures that nobody asked for", frame{kind: kindOpened, meta: []byte(`{"Signed":[{}]}`)}.head()},
	{"a name twice", frame{kind: kindOpened, meta: []byte(`{"Outputs":[{"Name":"x","DType":"float32"},{"Name":"x","DType":"float32"}]}`)}.head()},
}

func TestAChildThatLiesAtOnce(t *testing.T) {
	for i, l := range openings {
		name := "liar at once " + string(rune('0'+i))
		if s, err := Engine(fake{name: name}, Options{Available: true}).Open(t.Context(), predict.Graph{Data: []byte{}}, predict.SessionOptions{}); !errors.Is(err, predict.ErrUnavailable) {
			if err == nil {
				_ = s.Close()
			}
			t.Errorf("%s: got %v", l.name, err)
		}
	}
}

// Opening that takes too long is given up, and leaves no process behind.
func TestOpeningIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Engine(fake{name: "never opens"}, Options{Available: true}).Open(ctx, predict.Graph{Data: make([]byte, 16<<20)}, predict.SessionOptions{})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Minute {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

// parent runs this test again in a process of its own and returns the first line that begins with child.
func parent(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), "FORGO_TEST_PARENT=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "child ") {
			return cmd, lines.Text()
		}
	}
	t.Fatal("the parent says nothing")
	return nil, ""
}
