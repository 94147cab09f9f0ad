//go:build amd64

#include "textflag.h"

// func transpose8(to, from *byte, toStride, toStep, fromStride, fromStep, blocks int)
//
// Blocks of 8 x 8 bytes: byte r of row c of to becomes byte c of row r of from. Rows are strides apart, blocks steps.
TEXT ·transpose8(SB), NOSPLIT, $0-56
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ toStride+16(FP), R8
	MOVQ toStep+24(FP), R9
	MOVQ fromStride+32(FP), R10
	MOVQ fromStep+40(FP), R11
	MOVQ blocks+48(FP), CX
	LEAQ (R8)(R8*2), R12
	LEAQ (R10)(R10*2), R13
	TESTQ CX, CX
	JZ   transposed

transpose:
	LEAQ (SI)(R10*4), BX
	VMOVQ (SI), X0
	VMOVQ (SI)(R10*1), X1
	VMOVQ (SI)(R10*2), X2
	VMOVQ (SI)(R13*1), X3
	VMOVQ (BX), X4
	VMOVQ (BX)(R10*1), X5
	VMOVQ (BX)(R10*2), X6
	VMOVQ (BX)(R13*1), X7
	VPUNPCKLBW X1, X0, X0
	VPUNPCKLBW X3, X2, X2
	VPUNPCKLBW X5, X4, X4
	VPUNPCKLBW X7, X6, X6
	VPUNPCKLWD X2, X0, X1
	VPUNPCKHWD X2, X0, X3
	VPUNPCKLWD X6, X4, X5
	VPUNPCKHWD X6, X4, X7
	VPUNPCKLDQ X5, X1, X0
	VPUNPCKHDQ X5, X1, X2
	VPUNPCKLDQ X7, X3, X4
	VPUNPCKHDQ X7, X3, X6
	LEAQ (DI)(R8*4), BX
	VMOVQ X0, (DI)
	VMOVHPS X0, (DI)(R8*1)
	VMOVQ X2, (DI)(R8*2)
	VMOVHPS X2, (DI)(R12*1)
	VMOVQ X4, (BX)
	VMOVHPS X4, (BX)(R8*1)
	VMOVQ X6, (BX)(R8*2)
	VMOVHPS X6, (BX)(R12*1)
	ADDQ R11, SI
	ADDQ R9, DI
	DECQ CX
	JNZ  transpose

transposed:
	RET

// func across8(to, from *byte, ends, positions, weights *int32, count, channels, first, half int)
//
// Eight rows side by side: sums of count pixels, each of 1 or 3 channels, of pixels that lie one behind the other.
// The first one of from is numbered first.
TEXT ·across8(SB), NOSPLIT, $0-72
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ ends+16(FP), R8
	MOVQ positions+24(FP), R9
	MOVQ weights+32(FP), R10
	MOVQ count+40(FP), CX
	MOVQ channels+48(FP), R11
	MOVQ first+56(FP), R12
	VPBROADCASTD half+64(FP), Y7
	XORQ AX, AX // the tap
	TESTQ CX, CX
	JZ   sumsDone

sums:
	MOVLQSX (R8), DX // behind the pixel's last tap
	ADDQ $4, R8
	VMOVDQA Y7, Y0
	VMOVDQA Y7, Y1
	VMOVDQA Y7, Y2
	CMPQ AX, DX
	JGE  made
	MOVLQSX (R9)(AX*4), BX
	SUBQ R12, BX
	IMULQ R11, BX
	LEAQ (SI)(BX*8), BX
	CMPQ R11, $3
	JNE  greyTap

colourTap:
	VPBROADCASTD (R10)(AX*4), Y6
	VPMOVZXBD (BX), Y3
	VPMOVZXBD 8(BX), Y4
	VPMOVZXBD 16(BX), Y5
	VPMULLD Y6, Y3, Y3
	VPMULLD Y6, Y4, Y4
	VPMULLD Y6, Y5, Y5
	VPADDD Y3, Y0, Y0
	VPADDD Y4, Y1, Y1
	VPADDD Y5, Y2, Y2
	ADDQ $24, BX
	INCQ AX
	CMPQ AX, DX
	JLT  colourTap
	JMP  made

greyTap:
	VPBROADCASTD (R10)(AX*4), Y6
	VPMOVZXBD (BX), Y3
	VPMULLD Y6, Y3, Y3
	VPADDD Y3, Y0, Y0
	ADDQ $8, BX
	INCQ AX
	CMPQ AX, DX
	JLT  greyTap

made:
	VPSRAD $22, Y0, Y0
	VPSRAD $22, Y1, Y1
	VPSRAD $22, Y2, Y2
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y2, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPUNPCKLDQ X1, X0, X2
	VMOVQ X2, (DI)
	CMPQ R11, $3
	JNE  next
	VPUNPCKHDQ X1, X0, X3
	VMOVHPS X2, 8(DI)
	VMOVQ X3, 16(DI)

next:
	LEAQ (DI)(R11*8), DI
	DECQ CX
	JNZ  sums

sumsDone:
	VZEROUPPER
	RET

// func down8(to, from *byte, stride int, weights *int32, count, n, half int)
//
// Sums of n bytes, a multiple of 8, of count rows of from, which are stride bytes apart.
TEXT ·down8(SB), NOSPLIT, $0-56
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ stride+16(FP), R8
	MOVQ weights+24(FP), R9
	MOVQ count+32(FP), CX
	MOVQ n+40(FP), DX
	VPBROADCASTD half+48(FP), Y15

wide:
	CMPQ DX, $32
	JLT  narrow
	VMOVDQA Y15, Y0
	VMOVDQA Y15, Y1
	VMOVDQA Y15, Y2
	VMOVDQA Y15, Y3
	MOVQ SI, BX
	XORQ AX, AX

wideTap:
	VPBROADCASTD (R9)(AX*4), Y8
	VPMOVZXBD (BX), Y4
	VPMOVZXBD 8(BX), Y5
	VPMOVZXBD 16(BX), Y6
	VPMOVZXBD 24(BX), Y7
	VPMULLD Y8, Y4, Y4
	VPMULLD Y8, Y5, Y5
	VPMULLD Y8, Y6, Y6
	VPMULLD Y8, Y7, Y7
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	VPADDD Y7, Y3, Y3
	ADDQ R8, BX
	INCQ AX
	CMPQ AX, CX
	JLT  wideTap
	VPSRAD $22, Y0, Y0
	VPSRAD $22, Y1, Y1
	VPSRAD $22, Y2, Y2
	VPSRAD $22, Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPERMQ $0xd8, Y0, Y0
	VPERMQ $0xd8, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMQ $0xd8, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, DX
	JMP  wide

narrow:
	CMPQ DX, $8
	JLT  downDone
	VMOVDQA Y15, Y0
	MOVQ SI, BX
	XORQ AX, AX

narrowTap:
	VPBROADCASTD (R9)(AX*4), Y8
	VPMOVZXBD (BX), Y4
	VPMULLD Y8, Y4, Y4
	VPADDD Y4, Y0, Y0
	ADDQ R8, BX
	INCQ AX
	CMPQ AX, CX
	JLT  narrowTap
	VPSRAD $22, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPACKSSDW X1, X0, X0
	VPACKUSWB X0, X0, X0
	VMOVQ X0, (DI)
	ADDQ $8, SI
	ADDQ $8, DI
	SUBQ $8, DX
	JMP  narrow

downDone:
	VZEROUPPER
	RET

// func floats8(to *float32, from *byte, n int)
//
// Floats of n bytes, a multiple of 8.
TEXT ·floats8(SB), NOSPLIT, $0-24
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $3, CX
	JZ   floatsDone

eightFloats:
	VPMOVZXBD (SI), Y0
	VCVTDQ2PS Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $8, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  eightFloats
	VZEROUPPER

floatsDone:
	RET

// func add8(line *float32, row *byte, weight float32, n int)
//
// Adds n bytes, a multiple of 8, times a weight, to floats. Products are rounded before they are added, as in plain Go.
TEXT ·add8(SB), NOSPLIT, $0-32
	MOVQ line+0(FP), DI
	MOVQ row+8(FP), SI
	VBROADCASTSS weight+16(FP), Y7
	MOVQ n+24(FP), CX
	SHRQ $3, CX
	JZ   added

eightMore:
	VPMOVZXBD (SI), Y0
	VCVTDQ2PS Y0, Y0
	VMULPS Y7, Y0, Y0
	VADDPS (DI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $8, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  eightMore
	VZEROUPPER

added:
	RET
