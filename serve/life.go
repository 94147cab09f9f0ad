package serve

// A server's life: it listens, loads, answers, drains and stops.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/internal/drain"
	"github.com/forgo-ml/forgo/serve/internal/scavenge"
)

// Serve listens, loads the models unless they are loaded, and answers requests until ctx ends. It is live
// but not ready while it loads. It fails if the models do not start. After ctx ends, Serve reports that it
// is not ready, accepts no new connections, and returns when the requests under way are answered or
// Options.Drain is over.
func (s *Server) Serve(ctx context.Context, at Addresses) error {
	ports, err := s.open(ctx, at)
	if err != nil {
		return err
	}
	if len(ports) == 0 {
		return errors.New("listen: every address is off")
	}
	var addresses []any
	for _, p := range ports {
		if addresses = append(addresses, p.kind, p.Addr().String()); p.kind == "http" {
			scheme := "http://"
			if p.tls {
				scheme = "https://"
			}
			addresses = append(addresses, "url", scheme+p.Addr().String())
		}
	}
	s.warn(ports)
	defer access.Watch(ctx, s.options.Log, s.options.reloaders()...)()

	failed := make(chan error, len(ports))
	for _, p := range ports {
		go func() {
			defer close(p.ended)
			err := p.serve(p.Listener)
			if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", p.kind, err)
			}
		}()
	}
	delay := s.options.ShutdownDelay
	if err = s.load(ctx, failed); err == nil {
		s.options.Log.Info("serving", addresses...)
		go func() {
			scavenge.AfterStart()
			scavenge.Watch(ctx, s.options.Memory)
		}()
		select {
		case err = <-failed: // one that ends by itself takes the others along
		case <-ctx.Done():
		}
	} else {
		delay = 0 // no load balancer was told to send requests
		if ctx.Err() != nil {
			err = nil // it was asked to stop
		}
	}
	s.options.Log.Info("stopping")
	return errors.Join(err, s.stop(ports, delay))
}

// load starts the models after the addresses are open, so that an address in use is known first and
// clients that ask meanwhile learn that the server is not ready. It abandons a load that does not return
// when ctx ends.
func (s *Server) load(ctx context.Context, failed <-chan error) error {
	if s.models.Started() {
		return nil
	}
	// Leave out the addresses: a script that waits for the line with them expects a server that answers.
	s.options.Log.Info("listening; not ready until the models are loaded")
	loaded := make(chan error, 1)
	go func() { loaded <- s.models.Start(ctx) }()
	select {
	case err := <-loaded:
		return err
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop lets the requests under way finish: first those of clients, then those of operators, who can see
// until then that the server is not ready. It takes at most delay plus Options.Drain.
func (s *Server) stop(ports []port, delay time.Duration) error {
	s.Drain()
	time.Sleep(delay)
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Drain)
	defer cancel()
	var errs []error
	for _, admin := range []bool{false, true} {
		var group sync.WaitGroup
		var mu sync.Mutex
		for _, p := range ports {
			if (p.kind == "admin") != admin {
				continue
			}
			group.Go(func() {
				if err := p.drain(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("stop %s: requests were still under way after %s: %w", p.kind, s.options.Drain, err))
				}
			})
		}
		group.Wait()
	}
	read, answered := s.clients.Requests()
	s.options.Log.Info("stopped", "read", read, "answered", answered)
	return errors.Join(errs...)
}

// drain accepts no new connections, and returns when the requests under way are answered or ctx ends.
func (p port) drain(ctx context.Context) error {
	p.end()
	select {
	case <-p.ended:
	case <-time.After(drain.Quiet): // there are as many connections as there may be
	case <-ctx.Done():
	}
	err := p.stop(ctx)
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
	return err
}
