/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_MESSAGES_H
#define FUZZ_MESSAGES_H
/*
 * Included before all else where the tool's sources are built for the fuzz targets: what they tell the user goes elsewhere, for
 * standard error is the engine's.
 */
#include <stdio.h>

extern FILE *fuzz_messages;
#undef stderr
#define stderr fuzz_messages

#endif
