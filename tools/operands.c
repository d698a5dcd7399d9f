/* SPDX-License-Identifier: MIT */
/*
 * See operands.h.
 */
#include "operands.h"
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

bool key_operand(char *text, bool hex, struct bytes *key) {
    size_t length = strlen(text);
    *key = (struct bytes){.data = text, .length = hex ? length / 2 : length};
    if (!hex || parse_hex(text, length, (unsigned char *)text))
        return true;
    usage_error("key '%s' is not hexadecimal (two digits for each byte)", text);
    return false;
}

static bool decode_value(const char *path, unsigned char *data, size_t length, struct bytes *value) {
    while (length > 0 && strchr(" \t\r\n", data[length - 1]))
        length--;
    *value = (struct bytes){.data = data, .length = length / 2};
    if (parse_hex((char *)data, length, data))
        return true;
    complain(path, "the value is not hexadecimal (two digits for each byte)");
    return false;
}

static bool read_value(const char *path, hf_store *store, bool hex, struct buffer *buffer) {
    struct hf_info info = HF_INFO_INIT;
    int result = hf_info(store, &info);
    if (result != HF_OK) {
        report_result(path, result);
        return false;
    }
    size_t limit = (size_t)info.max_value + 1;
    if (!read_all(STDIN_FILENO, hex ? 2 * limit + 2 : limit, buffer)) {
        complain("standard input", "%s", strerror(errno));
        return false;
    }
    return reserve_buffer(buffer, 1);
}

bool value_operand(const char *path, hf_store *store, char *text, bool hex, struct buffer *buffer, struct bytes *value) {
    unsigned char *data = (unsigned char *)text;
    size_t length = text ? strlen(text) : 0;
    if (!text || strcmp(text, "-") == 0) {
        if (!read_value(path, store, hex, buffer))
            return false;
        data = buffer->data;
        length = buffer->length;
    }
    *value = (struct bytes){.data = data, .length = length};
    return !hex || decode_value(path, data, length, value);
}

int complain_of_key(const char *path, const char *what, const struct bytes *key, bool hex) {
    struct shown shown;
    const unsigned char *bytes = key->data;
    if (!hex) {
        complain(path, "%s: %s", what, show_bytes(bytes, key->length, &shown));
        return TOOL_NO;
    }
    size_t most = sizeof shown.text / 2 - 2;
    size_t used = 0;
    for (size_t i = 0; i < key->length && i < most; i++)
        used += (size_t)sprintf(shown.text + used, "%02x", bytes[i]);
    shown.text[used] = '\0';
    complain(path, "%s: %s%s", what, shown.text, key->length > most ? "..." : "");
    return TOOL_NO;
}

/* ---- Printing ------------------------------------------------------------------------------------------------------------- */

enum print_style choose_style(bool json, bool meta, bool hex) {
    if (json)
        return meta ? PRINT_JSON_META : PRINT_JSON;
    return meta ? PRINT_META : hex ? PRINT_HEX : PRINT_RAW;
}

bool is_stale(const struct hf_meta *meta) {
    return meta->expires_ms != 0 && meta->ttl_ms == 0;
}

void print_meta_json(const struct hf_meta *meta) {
    printf(",\"version\":%" PRIu64 ",\"flags\":%" PRIu32 ",\"ttl_ms\":%" PRIu64 ",\"length\":%" PRIu32, meta->version,
           meta->flags, meta->ttl_ms, meta->value_len);
    if (is_stale(meta))
        fputs(",\"stale\":true", stdout);
}

static void print_json(const struct bytes *key, const struct bytes *value, const struct hf_meta *meta) {
    fputs("{\"key\":", stdout);
    json_print_bytes(key->data, key->length);
    if (value) {
        fputs(",\"value\":", stdout);
        json_print_bytes(value->data, value->length);
    }
    print_meta_json(meta);
    fputs("}\n", stdout);
}

static void print_meta(const struct bytes *key, const struct hf_meta *meta) {
    struct shown shown;
    printf("version=%" PRIu64 " flags=%" PRIu32 " ttl_ms=%" PRIu64 " length=%" PRIu32 "%s key=%s\n", meta->version, meta->flags,
           meta->ttl_ms, meta->value_len, is_stale(meta) ? " stale" : "", show_bytes(key->data, key->length, &shown));
}

void print_entry(const struct bytes *key, const struct bytes *value, const struct hf_meta *meta, enum print_style style) {
    switch (style) {
    case PRINT_RAW:
        print_bytes(value->data, value->length);
        break;
    case PRINT_HEX:
        print_hex(value->data, value->length);
        putchar('\n');
        break;
    case PRINT_META:
        print_meta(key, meta);
        break;
    case PRINT_JSON:
        print_json(key, value, meta);
        break;
    case PRINT_JSON_META:
        print_json(key, NULL, meta);
        break;
    }
}
