//go:build amd64

#include "textflag.h"

// TRIPLE makes 3 near + far, 16 words, of the samples at an offset.
#define TRIPLE(offset, y, scratch) \
	VPMOVZXBW offset(SI), y        \
	VPMOVZXBW offset(BX), scratch  \
	VPADDW scratch, y, scratch     \
	VPADDW y, y, y                 \
	VPADDW scratch, y, y

// func double16(near, far, out *byte, blocks, even, odd int)
//
// Blocks of 16 samples, each with a neighbour on either side, become 32 each.
TEXT ·double16(SB), NOSPLIT, $0-48
	MOVQ near+0(FP), SI
	MOVQ far+8(FP), BX
	MOVQ out+16(FP), DI
	MOVQ blocks+24(FP), CX
	VMOVQ even+32(FP), X14
	VMOVQ odd+40(FP), X15
	VPBROADCASTW X14, Y14
	VPBROADCASTW X15, Y15
	TESTQ CX, CX
	JZ   doubled

double:
	TRIPLE(-1, Y0, Y3)
	TRIPLE(0, Y1, Y3)
	TRIPLE(1, Y2, Y3)
	VPADDW Y1, Y1, Y3
	VPADDW Y1, Y3, Y1
	VPADDW Y14, Y0, Y0
	VPADDW Y15, Y2, Y2
	VPADDW Y1, Y0, Y0
	VPADDW Y1, Y2, Y2
	VPSRLW $4, Y0, Y0
	VPSRLW $4, Y2, Y2
	VPSLLW $8, Y2, Y2
	VPOR Y2, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $16, SI
	ADDQ $16, BX
	ADDQ $32, DI
	DECQ CX
	JNZ  double
	VZEROUPPER

doubled:
	RET

// func colour16(luma, cb, cr, out *byte, blocks int, with *colourVectors)
//
// Blocks of 16 pixels: YCbCr becomes RGB.
TEXT ·colour16(SB), NOSPLIT, $0-48
	MOVQ luma+0(FP), SI
	MOVQ cb+8(FP), BX
	MOVQ cr+16(FP), DX
	MOVQ out+24(FP), DI
	MOVQ blocks+32(FP), CX
	MOVQ with+40(FP), R8
	VMOVDQU (R8), Y8    // red
	VMOVDQU 32(R8), Y9  // blue
	VMOVDQU 64(R8), Y10 // green
	VMOVDQU 96(R8), Y11 // half
	VMOVDQU 128(R8), Y12 // centre
	TESTQ CX, CX
	JZ   coloured

colour:
	VPMOVZXBW (SI), Y0
	VPMOVZXBW (BX), Y1
	VPMOVZXBW (DX), Y2
	VPSUBW Y12, Y1, Y1
	VPSUBW Y12, Y2, Y2

	// Green.
	VPUNPCKLWD Y2, Y1, Y3
	VPUNPCKHWD Y2, Y1, Y4
	VPMADDWD Y10, Y3, Y3
	VPMADDWD Y10, Y4, Y4
	VPADDD Y11, Y3, Y3
	VPADDD Y11, Y4, Y4
	VPSRAD $16, Y3, Y3
	VPSRAD $16, Y4, Y4
	VPACKSSDW Y4, Y3, Y3
	VPSUBW Y2, Y0, Y4
	VPADDW Y4, Y3, Y3

	// Red and blue: half the factor gives the same for every sample, rounded at once.
	VPMULHRSW Y8, Y2, Y4
	VPADDW Y0, Y2, Y2
	VPADDW Y2, Y4, Y4
	VPMULHRSW Y9, Y1, Y5
	VPADDW Y1, Y1, Y1
	VPADDW Y0, Y1, Y1
	VPADDW Y1, Y5, Y5

	VPACKUSWB Y3, Y4, Y4
	VPACKUSWB Y5, Y5, Y5
	VPSHUFB 160(R8), Y4, Y0
	VPSHUFB 192(R8), Y5, Y1
	VPSHUFB 224(R8), Y4, Y2
	VPSHUFB 256(R8), Y5, Y3
	VPOR Y1, Y0, Y0
	VPOR Y3, Y2, Y2
	VEXTRACTI128 $1, Y0, X1
	VEXTRACTI128 $1, Y2, X3
	VMOVDQU X0, (DI)
	VMOVQ X2, 16(DI)
	VMOVDQU X1, 24(DI)
	VMOVQ X3, 40(DI)
	ADDQ $16, SI
	ADDQ $16, BX
	ADDQ $16, DX
	ADDQ $48, DI
	DECQ CX
	JNZ  colour
	VZEROUPPER

coloured:
	RET
