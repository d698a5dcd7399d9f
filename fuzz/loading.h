/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_LOADING_H
#define FUZZ_LOADING_H
/* What the targets that run the tool's own code share: its messages and its output, and the way from text into a store. */
#include "formats.h"
#include "fuzz.h"

/* Standard input, standard output and the messages become files in memory. To be called by every input. */
void loading_prepare(void);

/* What was printed since the last call, as a file to be closed. */
int loading_printed(void);

/* A file in memory; to be closed. */
int loading_file(const void *bytes, size_t size);

/* Reads the file into a new store; whether all of it was read. Ends the file. */
bool loading_load(int fd, bool (*load)(struct loader *loader), hf_store **store);

/* Calls print with every entry. */
void loading_print_all(hf_store *store, void (*print)(const struct entry *entry));

/* Both hold the same, or flags and expiry aside; what has expired may be gone. */
void loading_compare(hf_store *one, hf_store *other, bool values_only);

#endif
