/* SPDX-License-Identifier: MIT */
#ifndef READING_H
#define READING_H
/*
 * What thermometer.c writes and heating.c reads. A value is any bytes; a struct of fixed-size members is the same for every
 * program on the machine. A store aligns values to 8 bytes, hf_get copies them to wherever the reader wants them.
 */
#include <stdint.h>

#define ROOMS_STORE "/dev/shm/rooms.hf"

struct reading {
    int64_t millidegrees;
    uint64_t number; /* of the reading, from 1 on */
};

#endif
