// The part of a C library that the bindings use; see runtime.c.
#pragma once
#include <stddef.h>

void *malloc(size_t size);
void *realloc(void *held, size_t size);
void free(void *held);
_Noreturn void abort(void);
