package onnx

import (
	"slices"
	"strings"
)

// Operations whose time is in proportion to their input, or to the product of their input and a constant. The values
// of the input change neither their time nor their output's shape.
var (
	linear   = strings.Fields("Abs Cast Clip Dropout Elu Exp Flatten Gelu HardSigmoid Identity LeakyRelu Log LogSoftmax Neg Reciprocal Relu Selu Sigmoid Softmax Softplus Softsign Sqrt Tanh")
	weighted = strings.Fields("Add Div Gemm MatMul Max Min Mul PRelu Pow Reshape Sub")
)

// shortOperation notes whether a node keeps the graph's operations short.
func (g *Info) shortOperation(op operation, inputs []string) {
	switch {
	case op.domain != "" && op.domain != "ai.onnx":
		g.long = true
	case slices.Contains(weighted, op.name) && len(inputs) >= 2:
		g.weights = append(g.weights, [2]string{inputs[0], inputs[1]})
	case !slices.Contains(linear, op.name):
		g.long = true
	}
}

// short reports that no operation of the graph takes long, so that a run ends soon after its context does.
func (g *Info) short() bool {
	if g.long || len(g.functions) > 0 {
		return false
	}
	for _, pair := range g.weights {
		if !g.initializers[pair[0]] && !g.initializers[pair[1]] {
			return false
		}
	}
	return true
}
