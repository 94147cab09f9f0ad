#include "textflag.h"

// handle is a signal handler of C's convention. The kernel restores every register when it returns.
TEXT handle<>(SB), NOSPLIT|NOFRAME, $0
	MOVD $167, R8 // prctl
	MOVD $38, R0 // PR_SET_NO_NEW_PRIVS
	MOVD $1, R1
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	SVC
	MOVD $446, R8 // landlock_restrict_self
	MOVD ·ruleset(SB), R0
	MOVD ·rulesetFlags(SB), R1
	SVC
	MOVD R0, ·reply(SB)
	DMB $0xb
	MOVD ·asked(SB), R1 // one thread asks at a time
	ADD $1, R1
	MOVD R1, ·asked(SB)
	RET

TEXT restore<>(SB), NOSPLIT|NOFRAME, $0
	MOVD $139, R8 // rt_sigreturn
	SVC
	BRK

DATA ·handler(SB)/8, $handle<>(SB)
GLOBL ·handler(SB), NOPTR, $8
DATA ·restorer(SB)/8, $restore<>(SB)
GLOBL ·restorer(SB), NOPTR, $8
