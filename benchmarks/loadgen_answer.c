/* Load generator - read one answer: bytes in; need more, done or wrong out. No sockets, no clock.
 *
 * Source: RFC 9112 section 4 (status line), 6.3 (body length), 7.1 (chunked).
 */
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void expect_answer(struct answer *answer, const char *expected_body, bool is_compared) {
    answer->expected_body = expected_body;
    answer->state = HEAD;
    answer->head_bytes = 0;
    answer->body_bytes = 0;
    answer->line_bytes = 0;
    answer->bytes_left = 0;
    answer->closes = false;
    answer->is_compared = is_compared;
}

static enum answer_outcome wrong(char *complaint, const char *what, uint64_t found, uint64_t expected) {
    if (!complaint[0])
        snprintf(complaint, MAX_COMPLAINT, "%s: found %llu, expected %llu", what, (unsigned long long)found,
                 (unsigned long long)expected);
    return ANSWER_WRONG;
}

/* Take the status and how the body ends. Returns false when it is not an HTTP/1 answer. */
static bool read_head(struct answer *answer, const char *head, const char *end) {
    if (end - head < 15 || strncmp(head, "HTTP/1.", 7) != 0) return false;
    answer->closes = head[7] == '0';
    answer->status = atoi(head + 9);
    answer->state = BODY_TO_CLOSE;
    const char *line = memchr(head, '\n', (size_t)(end - head));
    for (; line && line + 1 < end; line = memchr(line, '\n', (size_t)(end - line))) {
        line++;
        /* The first letter decides quickly: this loop runs for every field of every answer. */
        char letter = (char)(*line | 0x20);
        if (letter == 'c' && strncasecmp(line, "content-length:", 15) == 0) {
            answer->bytes_left = strtoull(line + 15, NULL, 10);
            if (answer->state == BODY_TO_CLOSE) answer->state = BODY_BY_LENGTH;
        } else if (letter == 't' && strncasecmp(line, "transfer-encoding:", 18) == 0) {
            answer->state = CHUNK_SIZE;
        } else if (letter == 'c' && strncasecmp(line, "connection:", 11) == 0) {
            const char *value = line + 11 + strspn(line + 11, " ");
            if (strncasecmp(value, "close", 5) == 0) answer->closes = true;
            if (strncasecmp(value, "keep-alive", 10) == 0) answer->closes = false;
        }
    }
    if (answer->state == BODY_TO_CLOSE) answer->closes = true;
    if (answer->state == CHUNK_SIZE) answer->bytes_left = 0;
    return true;
}

/* Find the end of the head, across reads when it was cut. Returns the bytes used, 0 when it is not there yet. */
static enum answer_outcome take_head(struct answer *answer, const struct path *path, const char *data,
                                     size_t bytes, size_t *used, char *complaint) {
    const char *head = data;
    size_t kept = answer->head_bytes, length = bytes;
    if (kept) {
        size_t more = bytes < MAX_HEAD_BYTES - kept ? bytes : MAX_HEAD_BYTES - kept;
        memcpy(answer->head + kept, data, more);
        head = answer->head;
        length = kept + more;
    }
    const char *end = memmem(head, length, "\r\n\r\n", 4);
    if (!end) {
        if (length >= MAX_HEAD_BYTES) return wrong(complaint, "bytes of head without an end", length, MAX_HEAD_BYTES);
        if (!kept) memcpy(answer->head, data, bytes);
        answer->head_bytes = length;
        *used = bytes;
        return NEED_MORE;
    }
    *used = (size_t)(end + 4 - head) - kept;
    answer->head_bytes = 0;
    if (!read_head(answer, head, end + 2))
        return wrong(complaint, "answer does not start with HTTP/1.x; first byte", (uint8_t)*head, 'H');
    if (answer->status != path->expected_status)
        return wrong(complaint, "status", (uint64_t)answer->status, (uint64_t)path->expected_status);
    return NEED_MORE;
}

/* Count body bytes, and compare them while this answer is one of the first. Returns false on a difference. */
static bool take_body(struct answer *answer, const struct path *path, const char *data, size_t bytes) {
    uint64_t offset = answer->body_bytes;
    answer->body_bytes += bytes;
    if (answer->body_bytes > path->expected_body_bytes) return false;
    return !answer->is_compared || memcmp(answer->expected_body + offset, data, bytes) == 0;
}

/* Read the rest of a line of the chunked coding; the size digits are kept. Returns true at the line's end.
 * The servers send no chunk extensions; one would be read as digits and show as a wrong body. */
static bool take_line(struct answer *answer, const char *data, size_t bytes, size_t *at) {
    while (*at < bytes) {
        char byte = data[(*at)++];
        if (byte == '\n') return true;
        if (byte == '\r') continue;
        answer->line_bytes++;
        if (answer->state != CHUNK_SIZE) continue;
        unsigned digit = byte <= '9' ? (unsigned)(byte - '0') : (unsigned)((byte | 0x20) - 'a' + 10);
        if (digit < 16) answer->bytes_left = answer->bytes_left * 16 + digit;
    }
    return false;
}

/* One step inside the body. Returns ANSWER_DONE at its end; moves `at` forward. */
static enum answer_outcome step_body(struct answer *answer, const struct path *path, const char *data,
                                     size_t bytes, size_t *at, char *complaint) {
    if (answer->state == CHUNK_SIZE || answer->state == CHUNK_DATA_END || answer->state == TRAILER) {
        if (!take_line(answer, data, bytes, at)) return NEED_MORE;
        bool is_empty_line = answer->line_bytes == 0;
        answer->line_bytes = 0;
        if (answer->state == TRAILER) return is_empty_line ? ANSWER_DONE : NEED_MORE;
        if (answer->state == CHUNK_DATA_END) answer->state = CHUNK_SIZE;
        else answer->state = answer->bytes_left ? CHUNK_DATA : TRAILER;
        return NEED_MORE;
    }
    size_t here = bytes - *at;
    if (answer->state != BODY_TO_CLOSE && here > answer->bytes_left) here = (size_t)answer->bytes_left;
    if (!take_body(answer, path, data + *at, here)) {
        bool is_too_long = answer->body_bytes > path->expected_body_bytes;
        const char *what = is_too_long ? "body too long; bytes" : "another body, perhaps out of order; bytes read";
        return wrong(complaint, what, answer->body_bytes, path->expected_body_bytes);
    }
    *at += here;
    if (answer->state == BODY_TO_CLOSE) return NEED_MORE;
    answer->bytes_left -= here;
    if (answer->bytes_left) return NEED_MORE;
    if (answer->state == BODY_BY_LENGTH) return ANSWER_DONE;
    answer->state = CHUNK_DATA_END;
    return NEED_MORE;
}

enum answer_outcome read_answer(struct answer *answer, const struct path *path, const char *data,
                                size_t bytes, size_t *used, char *complaint) {
    size_t at = 0;
    *used = 0;
    if (answer->state == HEAD) {
        enum answer_outcome outcome = take_head(answer, path, data, bytes, &at, complaint);
        *used = at;
        if (outcome == ANSWER_WRONG || answer->state == HEAD) return outcome;
        if (answer->state == BODY_BY_LENGTH && answer->bytes_left == 0) return end_of_answer(answer, path, complaint);
    }
    while (at < bytes) {
        enum answer_outcome outcome = step_body(answer, path, data, bytes, &at, complaint);
        *used = at;
        if (outcome == ANSWER_WRONG) return outcome;
        if (outcome == ANSWER_DONE) return end_of_answer(answer, path, complaint);
    }
    return NEED_MORE;
}

/* The body is over, by its framing or because the server closed: is it as long as expected? */
enum answer_outcome end_of_answer(struct answer *answer, const struct path *path, char *complaint) {
    if (answer->body_bytes != path->expected_body_bytes)
        return wrong(complaint, "bytes of body", answer->body_bytes, path->expected_body_bytes);
    return ANSWER_DONE;
}
