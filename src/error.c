/* SPDX-License-Identifier: MIT */
/* Results, names and the sentence for hf_explain. The sentence belongs to the thread: a shared handle has no error state. */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char sentence[512];

void hf__say(const char *format, ...) {
    int kept = errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    errno = kept;
}

const char *hf_explain(void) {
    return sentence;
}

const char *hf_version(void) {
    return HF_VERSION;
}

const char *hf_result_name(int result) {
    switch (result) {
#define CASE(name, value, text) case name: return #name;
        HF_RESULTS(CASE)
#undef CASE
    }
    return "unknown";
}

const char *hf_result_text(int result) {
    switch (result) {
#define CASE(name, value, text) case name: return text;
        HF_RESULTS(CASE)
#undef CASE
    }
    return "unknown";
}

#define NAME_OF(function, table) \
    const char *function(uint32_t value) { \
        switch (value) { \
            table(NAME_CASE) \
        } \
        return "unknown"; \
    }
#define NAME_CASE(name, number, text) case name: return text;
NAME_OF(hf_cause_name, HF_CAUSES)
NAME_OF(hf_operation_name, HF_OPERATIONS)
NAME_OF(hf_verdict_name, HF_VERDICTS)
NAME_OF(hf_invariant_text, HF_INVARIANTS)
#undef NAME_CASE

const char *hf_step_name(uint32_t step) {
    switch (step) {
#define CASE(name, text) case HF__STEP_##name: return text;
        HF__STEPS(CASE)
#undef CASE
    }
    return "unknown";
}
