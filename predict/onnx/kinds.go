package onnx

// Inputs and outputs that are not tensors.

import (
	"cmp"
	"fmt"
	"strings"
)

// tensors returns an error if an input or a chosen output is not a tensor. It ignores other outputs.
func (g Info) tensors() error {
	for _, in := range g.Inputs {
		if kind := g.kinds[in.Name]; kind != "" {
			return fmt.Errorf("its input %q is a %s, not a tensor: export the model with tensors as inputs", in.Name, kind)
		}
	}
	for _, out := range g.Outputs {
		kind, others := g.kinds[out.Name], g.others()
		if kind == "" {
			continue
		}
		if g.Ops["ai.onnx.ml.ZipMap"] == 0 {
			return fmt.Errorf("its output %q is a %s, not a tensor: export the model with tensors as outputs, or name the others: %s", out.Name, kind, cmp.Or(others, "there are none"))
		}
		ways := "convert the model without it (options={'zipmap': False} of skl2onnx's to_onnx and of onnxmltools)"
		if others != "" {
			ways = "make a bundle with forgo export, which takes ZipMap out, " + ways + ", or name the other outputs: " + others
		}
		return fmt.Errorf("its output %q is a %s of maps, which ZipMap makes of the scores: %s", out.Name, kind, ways)
	}
	return nil
}

// others lists the outputs that are tensors.
func (g Info) others() string {
	others := ""
	for _, out := range g.Outputs {
		if g.kinds[out.Name] == "" {
			others += ", " + out.Name
		}
	}
	return strings.TrimPrefix(others, ", ")
}
