// Macros of the inverse transform.

// PAIRS puts the words of a and b side by side, and so makes factors for VPMADDWD.
#define PAIRS(a, b, x, y, scratch) \
	VPUNPCKLWD b, a, x              \
	VPUNPCKHWD b, a, scratch        \
	VINSERTI128 $1, scratch, y, y

// PASS transforms the columns of X0 to X7, rows of eight words, rounds by what lies at half(AX), shifts, and transposes:
// columns 0 to 3 of the result are in the lower halves of Y0 to Y3, columns 4 to 7 in the upper ones. The names are
// those of inverseFull and wrappingPass.
#define PASS(half, shift) \
	PAIRS(X2, X6, X8, Y8, X10)      \
	PAIRS(X0, X4, X9, Y9, X10)      \
	VPMADDWD (AX), Y8, Y10 \
	VPMADDWD 32(AX), Y8, Y11 \
	VPMADDWD 64(AX), Y9, Y12 \
	VPMADDWD 96(AX), Y9, Y13 \
	VPADDD half(AX), Y12, Y12       \
	VPADDD half(AX), Y13, Y13       \
	VPADDD Y10, Y12, Y8 \
	VPSUBD Y10, Y12, Y9 \
	VPADDD Y11, Y13, Y10 \
	VPSUBD Y11, Y13, Y11 \
	VPADDW X3, X7, X0               \
	VPADDW X1, X5, X2               \
	PAIRS(X0, X2, X4, Y4, X6)       \
	VPMADDWD 128(AX), Y4, Y12 \
	VPMADDWD 160(AX), Y4, Y13 \
	PAIRS(X7, X1, X14, Y14, X15)    \
	VPMADDWD 192(AX), Y14, Y0       \
	VPMADDWD 224(AX), Y14, Y1       \
	PAIRS(X5, X3, X14, Y14, X15)    \
	VPMADDWD 256(AX), Y14, Y2       \
	VPMADDWD 288(AX), Y14, Y3       \
	VPADDD Y12, Y0, Y0 \
	VPADDD Y13, Y1, Y1 \
	VPADDD Y13, Y2, Y2 \
	VPADDD Y12, Y3, Y3 \
	VPADDD Y1, Y8, Y4               \
	VPSUBD Y1, Y8, Y8               \
	VPADDD Y3, Y10, Y5              \
	VPSUBD Y3, Y10, Y10             \
	VPADDD Y2, Y11, Y6              \
	VPSUBD Y2, Y11, Y11             \
	VPADDD Y0, Y9, Y7               \
	VPSUBD Y0, Y9, Y9               \
	VPSRAD $shift, Y4, Y4           \
	VPSRAD $shift, Y5, Y5           \
	VPSRAD $shift, Y6, Y6           \
	VPSRAD $shift, Y7, Y7           \
	VPSRAD $shift, Y8, Y8           \
	VPSRAD $shift, Y9, Y9           \
	VPSRAD $shift, Y10, Y10         \
	VPSRAD $shift, Y11, Y11         \
	VPACKSSDW Y5, Y4, Y0            \
	VPACKSSDW Y7, Y6, Y1            \
	VPACKSSDW Y11, Y9, Y2           \
	VPACKSSDW Y8, Y10, Y3           \
	VPUNPCKLWD Y1, Y0, Y4           \
	VPUNPCKHWD Y1, Y0, Y5           \
	VPUNPCKLWD Y3, Y2, Y8           \
	VPUNPCKHWD Y3, Y2, Y9           \
	VPUNPCKLWD Y5, Y4, Y6           \
	VPUNPCKHWD Y5, Y4, Y7           \
	VPUNPCKLWD Y9, Y8, Y10          \
	VPUNPCKHWD Y9, Y8, Y11          \
	VPUNPCKLQDQ Y10, Y6, Y0         \
	VPUNPCKHQDQ Y10, Y6, Y1         \
	VPUNPCKLQDQ Y11, Y7, Y2         \
	VPUNPCKHQDQ Y11, Y7, Y3

// INVERSE transforms the coefficients at SI, which it multiplies by those at BX, into samples at DI, in rows that are DX
// bytes apart. AX is transformVectors. It jumps, before it writes, where the sum of absolute values isn't safe.
#define INVERSE(unsafe) \
	VMOVDQU (SI), X0 \
	VMOVDQU 16(SI), X1 \
	VMOVDQU 32(SI), X2 \
	VMOVDQU 48(SI), X3 \
	VMOVDQU 64(SI), X4 \
	VMOVDQU 80(SI), X5 \
	VMOVDQU 96(SI), X6 \
	VMOVDQU 112(SI), X7 \
	VPMULLW (BX), X0, X0 \
	VPMULLW 16(BX), X1, X1 \
	VPMULLW 32(BX), X2, X2 \
	VPMULLW 48(BX), X3, X3 \
	VPMULLW 64(BX), X4, X4 \
	VPMULLW 80(BX), X5, X5 \
	VPMULLW 96(BX), X6, X6 \
	VPMULLW 112(BX), X7, X7 \
	VPABSW X0, X8 \
	VPABSW X1, X9 \
	VPABSW X2, X10 \
	VPABSW X3, X11 \
	VPABSW X4, X12 \
	VPABSW X5, X13 \
	VPABSW X6, X14 \
	VPABSW X7, X15 \
	VPADDUSW X9, X8, X8 \
	VPADDUSW X11, X10, X10 \
	VPADDUSW X13, X12, X12 \
	VPADDUSW X15, X14, X14 \
	VPADDUSW X10, X8, X8 \
	VPADDUSW X14, X12, X12 \
	VPADDUSW X12, X8, X8 \
	VPMINUW 400(AX), X8, X8 \
	VPMADDWD 384(AX), X8, X8 \
	VPSHUFD $0x4e, X8, X9 \
	VPADDD X9, X8, X8 \
	VPSHUFD $0xb1, X8, X9 \
	VPADDD X9, X8, X8 \
	VMOVD X8, BX \
	CMPL BX, 416(AX) \
	JGT  unsafe \
	PASS(320, 11) \
	VEXTRACTI128 $1, Y0, X4 \
	VEXTRACTI128 $1, Y1, X5 \
	VEXTRACTI128 $1, Y2, X6 \
	VEXTRACTI128 $1, Y3, X7 \
	PASS(352, 18) \
	VPACKUSWB Y1, Y0, Y0 \ // rows 0 and 1, 4 and 5
	VPACKUSWB Y3, Y2, Y2 \ // rows 2 and 3, 6 and 7
	VEXTRACTI128 $1, Y0, X1 \
	VEXTRACTI128 $1, Y2, X3 \
	LEAQ (DX)(DX*2), AX \
	LEAQ (DI)(DX*4), BX \
	VMOVQ X0, (DI) \
	VMOVHPS X0, (DI)(DX*1) \
	VMOVQ X2, (DI)(DX*2) \
	VMOVHPS X2, (DI)(AX*1) \
	VMOVQ X1, (BX) \
	VMOVHPS X1, (BX)(DX*1) \
	VMOVQ X3, (BX)(DX*2) \
	VMOVHPS X3, (BX)(AX*1)
