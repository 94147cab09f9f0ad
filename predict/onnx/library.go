package onnx

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/sharedlib"
	"github.com/forgo-ml/forgo/predict/onnx/internal/ort"
)

// EnvLibrary is the environment variable that names the shared library.
const EnvLibrary = "FORGO_ONNXRUNTIME"

// envTelemetry turns off ONNX Runtime's telemetry, which otherwise sends a device id and run counts to its
// maker and keeps a database of them in the user's cache. ONNX Runtime reads the variable when it starts,
// so it must be in the C environment before the library is opened. os.Setenv puts it there in every
// program that can open C libraries.
const envTelemetry = "ORT_DISABLE_TELEMETRY"

// find returns the first ONNX Runtime that loads and is new enough.
func find(option string) (engines.Library, error) {
	if err := os.Setenv(envTelemetry, "1"); err != nil {
		return engines.Library{}, fmt.Errorf("turn ONNX Runtime's telemetry off: %w", err)
	}
	files := []string{"libonnxruntime.so*"}
	switch runtime.GOOS {
	case "darwin":
		files = []string{"libonnxruntime*.dylib"}
	case "windows":
		files = []string{"onnxruntime.dll"}
	}
	return sharedlib.Search{
		Name: "ONNX Runtime", Env: EnvLibrary, Files: files, Wheel: "onnxruntime/capi",
		System:  []string{"/opt/onnxruntime/lib"},
		Install: fmt.Sprintf("put its shared library (%s, 1.%d or newer) beside the binary, pip install onnxruntime", strings.TrimSuffix(files[0], "*"), ort.APIVersion),
		Probe:   ort.Probe,
	}.Find(option)
}
