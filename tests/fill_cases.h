/* SPDX-License-Identifier: MIT */
#ifndef FILL_CASES_H
#define FILL_CASES_H
/* What fill.c runs besides the stampedes: what fills store and what they do not, and deaths. */
#include "check.h"

/* A function that counts its calls, and what it gives: see fill_cases.c. */
struct maker {
    unsigned calls, done;
    struct hf_fill fill;
    int result;
    void (*meanwhile)(hf_store *store); /* what others do while it computes */
    hf_store *store;
    unsigned takes_ms;
};
struct maker making(const char *value);
int get_k(hf_store *store, struct maker *maker, struct hf_meta *meta, const struct hf_fill_options *options); /* key "k" */

void fill_absent(void);   /* nothing is remembered as nothing                              */
void fill_failed(void);   /* a function that fails                                         */
void fill_outdated(void); /* a put or delete that came after the computation began         */
void fill_guarded(void);  /* ... whose writer was killed                                   */
void fill_leases(void);   /* begin, publish, cancel                                        */
void fill_stale(void);    /* an expired value while another computes                       */
void fill_early(void);    /* a value that is about to expire                               */
void fill_refused(void);  /* arguments, read-only handles, stores without room             */
void fill_raced(void);    /* another was faster, between the look and the claim             */
void fill_killed(void);   /* a death at every named point                                  */
void fill_logged(void);    /* the log fills a key while a claim is made                 */
void fill_odd_leases(void);    /* a lease whose end was overwritten                       */
void fill_unrecoverable(void); /* fill locks that nobody can have any more                */

#endif
