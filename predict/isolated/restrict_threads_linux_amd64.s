#include "textflag.h"

// handle is a signal handler of C's convention: it may use these registers as it likes.
TEXT handle<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ $157, AX // prctl
	MOVQ $38, DI // PR_SET_NO_NEW_PRIVS
	MOVQ $1, SI
	XORQ DX, DX
	XORQ R10, R10
	XORQ R8, R8
	SYSCALL
	MOVQ $446, AX // landlock_restrict_self
	MOVQ ·ruleset(SB), DI
	MOVQ ·rulesetFlags(SB), SI
	SYSCALL
	MOVQ AX, ·reply(SB)
	MOVQ $1, AX
	LOCK
	XADDQ AX, ·asked(SB)
	RET

TEXT restore<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX // rt_sigreturn
	SYSCALL
	INT $3

DATA ·handler(SB)/8, $handle<>(SB)
GLOBL ·handler(SB), NOPTR, $8
DATA ·restorer(SB)/8, $restore<>(SB)
GLOBL ·restorer(SB), NOPTR, $8
