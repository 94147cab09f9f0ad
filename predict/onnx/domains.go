package onnx

import "strings"

// domains are those whose operators ONNX Runtime contains. Any other would need a custom library, which
// could do anything.
var domains = []string{"ai.onnx", "ai.onnx.ml", microsoft}

const microsoft = "com.microsoft"

// contributed holds the operators of com.microsoft that a graph may have: those that ONNX Runtime runs on
// a CPU. Some others open files: a compiled graph (EPContext), or a library's (Snpe).
var contributed = func() map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(`
Attention AttnLSTM BeamSearch BiasGelu BifurcationDetector BranchwiseRMSNorm CDist CausalConvWithState
ConvTransposeWithDynamicPads CropAndResize DecoderMaskedMultiHeadAttention DequantizeLinear DynamicQuantizeLSTM
DynamicQuantizeMatMul DynamicTimeWarping EmbedLayerNormalization EngramGate ExpandDims FastGelu FusedConv FusedGemm
FusedMatMul GatedAdd GatedDeltaNet GatedRMSNorm GatherBlockQuantized GatherND GatherPacked Gelu GreedySearch GridSample
GroupNorm GroupQueryAttention HyperConnectionPostMix HyperConnectionPreMix Inverse LinearAttention LinearAttentionGate
MRotaryEmbedding MatMulBnb4 MatMulFpQ4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits MaxpoolWithMask MoE
MoEGroupRouter MulInteger MultiHeadAttention MurmurHash3 NGramHashMapping NGramRepeatBlock NhwcConv NhwcFusedConv
NhwcMaxPool Pad QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QMoE
QuantizeLinear QuickGelu Range ReduceSumInteger RotaryEmbedding SampleOp Sampling ScaledSiLU SkipLayerNormalization
SkipSimplifiedLayerNormalization SparseAttention SparseToDenseMatMul SwiGLU Tokenizer TransposeMatMul Trilu UnfoldTensor
Unique VarlenCausalConvWithState VarlenNGramHashMapping WhisperBeamSearch WordConvEmbedding`) {
		out[name] = true
	}
	return out
}()
