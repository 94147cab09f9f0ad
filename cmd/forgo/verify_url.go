package main

// verify --url: replays a bundle's golden cases against a running server.

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve"
)

type urlFlags struct {
	replay.Options
	urls, headers []string
	apiKey        string
	ca, cert, key string
}

func (f *urlFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.urls, "url", nil, "replay against the server at `URL`: http://, https://, grpc:// or grpcs://HOST:PORT (may be repeated)")
	commandLineOnly(flags, "url")
	flags.StringSliceVar(&f.Only, "protocol", nil, "with --url: "+replay.Names(serve.Replays())+" (default: all that the server speaks)")
	flags.StringVar(&f.Model, "model", "", "with --url: the model's name on the server (default: the bundle's)")
	flags.StringVar(&f.Version, "version", "", "with --url: the model's version on the server (default: the one that answers)")
	flags.IntSliceVar(&f.Batches, "batch", []int{1, 8}, "with --url: how many cases to send in one request; a comma-separated list makes a round for each number")
	flags.IntVar(&f.Callers, "callers", 8, "with --url: concurrent requests, after each was sent alone")
	flags.DurationVar(&f.Timeout, "timeout", 30*time.Second, "with --url: how long one request may take")
	flags.StringArrayVar(&f.headers, "header", nil, "with --url: send `'NAME: VALUE'` with every request (may be repeated)")
	flags.StringVar(&f.apiKey, "api-key", "", "with --url: send Authorization: Bearer `KEY`; FORGO_API_KEY hides it from other users")
	flags.StringVar(&f.ca, "ca", "", "with --url: PEM `FILE` of certificates to trust instead of the system's")
	flags.StringVar(&f.cert, "cert", "", "with --url: PEM `FILE` with a certificate to show the server")
	flags.StringVar(&f.key, "key", "", "with --url: PEM `FILE` with the certificate's key")
}

// options checks the flags and fills the options that they give in another form.
func (f *urlFlags) options() (replay.Options, error) {
	o := f.Options
	o.Protocols = serve.Replays()
	for _, n := range o.Batches {
		if n < 1 {
			return o, usageError{fmt.Errorf("--batch must be 1 or more, not %d", n)}
		}
	}
	if o.Callers < 1 {
		return o, usageError{fmt.Errorf("--callers must be 1 or more, not %d", o.Callers)}
	}
	o.Header = http.Header{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return o, usageError{fmt.Errorf("--header %q is not 'NAME: VALUE'", h)}
		}
		o.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if f.apiKey != "" {
		o.Header.Set("Authorization", "Bearer "+f.apiKey)
	}
	var err error
	o.TLS, err = f.tls()
	return o, err
}

func (f *urlFlags) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s has no PEM certificate", f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, usageError{errors.New("--cert and --key go together")}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (f *urlFlags) run(cmd *cobra.Command, path string, asJSON bool) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	report, err := func() (replay.Report, error) {
		b, err := openBundle(cmd.Context(), path)
		if err != nil {
			return replay.Report{}, err
		}
		defer b.Close()
		return o.Run(cmd.Context(), b, f.urls...)
	}()
	if asJSON {
		return writeReplay(cmd, report, err)
	}
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	printable.Fprintf(out, "%s  sha256:%.12s: %d cases, tolerance %.0e\n", path, report.Digest, report.Cases, report.Tolerance)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "URL\tSERVER\tPROTOCOL\tFORMS\tREQUESTS\tLARGEST DIFFERENCE\tTOP-1 AGREEMENT\tRESULT")
	for _, r := range report.Results {
		top1 := "-"
		if r.Top1Agreement != nil {
			top1 = fmt.Sprintf("%.0f%%", 100**r.Top1Agreement)
		}
		result := "proven"
		if r.Failure != nil {
			result = "REFUSED"
		}
		printable.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%.1e\t%s\t%s\n", r.URL, r.Server, r.Protocol, formsText(r.Forms), r.Requests, r.LargestDifference, top1, result)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return report.Err()
}

// replayed is a protocol's result. The difference is left out where there is no number for it.
type replayed struct {
	replay.Result
	OK                bool     `json:"ok"`
	LargestDifference *float64 `json:"largest_difference,omitempty"`
	Error             string   `json:"error,omitempty"`
}

func writeReplay(cmd *cobra.Command, report replay.Report, err error) error {
	if errors.As(err, new(usageError)) {
		return err
	}
	list := []replayed{}
	for _, r := range report.Results {
		one := replayed{Result: r, OK: r.Failure == nil}
		if !math.IsInf(r.LargestDifference, 0) {
			one.LargestDifference = &r.LargestDifference
		}
		if r.Failure != nil {
			one.Error = oneLine(r.Failure)
		}
		list = append(list, one)
	}
	if err == nil {
		err = report.Err()
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	if err == nil {
		return encoder.Encode(struct {
			OK        bool       `json:"ok"`
			Name      string     `json:"name"`
			Digest    string     `json:"digest"`
			Cases     int        `json:"cases"`
			Tolerance float64    `json:"tolerance"`
			Protocols []replayed `json:"protocols"`
		}{true, report.Name, report.Digest, report.Cases, report.Tolerance, list})
	}
	why := refusal(err)
	if why.Stage == "engine" { // there is none here
		why.Stage = string(predict.StageServe)
	}
	_ = encoder.Encode(struct {
		refused
		Protocols []replayed `json:"protocols"`
	}{why, list})
	return errShown
}

// formsText lists the forms: those of other signatures, SIGNATURE/FORM, by how many signatures they are of.
func formsText(forms []string) string {
	var own []string
	others := map[string]bool{}
	for _, form := range forms {
		if i := strings.LastIndexByte(form, '/'); i >= 0 {
			others[form[:i]] = true
		} else {
			own = append(own, form)
		}
	}
	text := strings.Join(own, ", ")
	if len(others) > 0 {
		text += fmt.Sprintf("; of %d other signatures", len(others))
	}
	return text
}
