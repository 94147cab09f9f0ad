package observe

// Traces. Without a provider, nothing here runs for a request.

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
)

// TraceHTTP gives inference requests to a handler a span, below their caller's.
func (o *Observer) TraceHTTP(h http.Handler) http.Handler {
	if o.traces == nil {
		return h
	}
	return otelhttp.NewHandler(h, "",
		otelhttp.WithTracerProvider(o.traces), otelhttp.WithMeterProvider(noop.MeterProvider{}),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, req *http.Request) string { return req.Method }),
		otelhttp.WithFilter(func(req *http.Request) bool {
			p := o.ofPath(req.URL.Path)
			return req.Method == http.MethodPost && p != Other && p.Infers(req.URL.Path)
		}))
}

// TraceGRPC returns options that do the same for the calls of a gRPC server.
func (o *Observer) TraceGRPC() []grpc.ServerOption {
	if o.traces == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(o.traces), otelgrpc.WithMeterProvider(noop.MeterProvider{}),
		otelgrpc.WithPropagators(propagation.TraceContext{}),
		otelgrpc.WithFilter(o.infers)))}
}

// describe adds what is known at the end of a request to its span.
func (r *Request) describe(ctx context.Context, method string) {
	span := trace.SpanFromContext(ctx)
	if r.route != "" {
		span.SetName(method + " " + r.route)
		span.SetAttributes(attribute.String("http.route", r.route))
	}
	span.SetAttributes(attribute.String("forgo.protocol", r.Protocol.Name))
	if r.id != "" {
		span.SetAttributes(attribute.String("forgo.request.id", r.id))
	}
	if r.calls != nil {
		span.SetAttributes(attribute.String("forgo.model.name", r.calls.Name), attribute.String("forgo.model.version", r.calls.Version))
	}
	if r.err != nil {
		span.SetAttributes(attribute.String("error.type", r.reason.String()))
	}
}
