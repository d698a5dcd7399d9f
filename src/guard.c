/* SPDX-License-Identifier: MIT */
/*
 * May a computed value still be stored? Not over a later put, and not after a later delete: what it was computed from is older
 * than those.
 *
 * Every write of a stripe takes a stamp, versions are stamps, and stamps grow. The horizon of a computation is the stripe's next
 * stamp when it began. So each write that came later has a stamp at or above the horizon, and leaves it where it is found:
 *
 *   a put is an entry, whose version it is;
 *   ... that was dropped since, to make room or because it expired: the stripe keeps the newest version it ever dropped;
 *   a delete, also of a key that is absent, is a tomb: its key's hash and stamp, in a ring of the latest deletes of the stripe.
 *
 * Of these two the fill lock that names the key is told, too. While it does, it alone is asked: drops and deletes of other keys
 * say nothing of this one, and in a busy cache there is one in every computation that takes long.
 *
 * Who has no such lock any more, or never had one, asks the stripe. If so many deletes came since that the ring may have lost
 * one, the answer is no. A wrong no costs another computation, and a wrong yes there is not: a tomb is written before its delete
 * is committed, and all of it under the stripe's lock, under which the question is asked, too. The horizon is read without the
 * lock. It may be old, which says no more often.
 *
 * It may also be that of a moment in the middle of another's delete or put, whose stamp is then below the horizon while its
 * commit is to come. That call had begun before the computation did, which thus saw what the caller had changed before the call.
 */
#include "internal.h"

uint64_t hf__horizon(const struct hf__region *region, uint32_t stripe) {
    return hf__observe(&hf__stripe_at(region, stripe)->next_stamp);
}

/* The count last: a tomb that is half written is none. */
void hf__tomb(const struct hf__region *region, const struct hf__place *place) {
    struct hf__tombs *tombs = hf__tombs_at(region, place->stripe);
    uint64_t at = tombs->count % HF__TOMBS;
    if (HF_PLANTED(TOMB_LOST))
        return;
    uint64_t stamp = hf__next_stamp(hf__stripe_at(region, place->stripe));
    hf__fill_overtake(region, place, stamp);
    tombs->tomb[at].key_hash = place->hash;
    tombs->tomb[at].stamp = stamp;
    HF_POINT("tomb");
    hf__in_order();
    tombs->count++;
    hf__in_order();
}

void hf__note_drop(const struct hf__region *region, const struct hf__place *place, uint64_t version) {
    struct hf__stripe *header = hf__stripe_at(region, place->stripe);
    if (version > header->newest_dropped)
        header->newest_dropped = version;
    hf__fill_overtake(region, place, version);
    hf__in_order();
}

void hf__tomb_all(const struct hf__region *region, uint32_t stripe) {
    hf__tombs_at(region, stripe)->cleared = hf__next_stamp(hf__stripe_at(region, stripe));
    hf__in_order();
}

/* A delete that was killed may have begun to write its tomb over the oldest, without counting it. */
static bool deleted_since(const struct hf__tombs *tombs, uint64_t key_hash, uint64_t horizon) {
    for (uint32_t i = 0; i < HF__TOMBS && i < tombs->count; i++)
        if (tombs->tomb[i].stamp >= horizon && tombs->tomb[i].key_hash == key_hash)
            return true;
    return tombs->count >= HF__TOMBS + HF_PLANTED(TOMB_TRUSTED) && tombs->tomb[tombs->count % HF__TOMBS].stamp >= horizon;
}

int hf__guard(const struct hf__write *write, uint64_t horizon) {
    if (HF_PLANTED(FILL_UNGUARDED))
        return HF_OK;
    const struct hf__tombs *tombs = hf__tombs_at(write->region, write->place.stripe);
    bool overtaken, put_since = write->spot.word != 0 && write->spot.view.version >= horizon;
    if (put_since || tombs->cleared >= horizon)
        return HF_CHANGED;
    if (!hf__fill_known(write->region, &write->place, horizon, &overtaken))
        overtaken = write->stripe->newest_dropped >= horizon || deleted_since(tombs, write->place.hash, horizon);
    return overtaken ? HF_CHANGED : HF_OK;
}
