/* Benchmark floor - the least a server can do on one thread: epoll, recv, find the end of the head, send.
 *
 * usage: floor PORT ANSWER_FILE [close]
 * ANSWER_FILE holds one whole answer, head and body, ready to send. With "close" every connection gets one answer.
 * It trusts its client (our loadgen): no limits, no deadlines, loopback only. It ends with SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 20480, MAX_EVENTS = 256, READ_BYTES = 256 * 1024, HEAD_BYTES = 16 * 1024, COPIES_BYTES = 64 * 1024 };

/* One client. `owed` answers are due; `sent_bytes` of the first of them are gone. `carry` holds a head cut short. */
struct connection {
    bool is_open;
    size_t body_bytes_left;
    unsigned owed;
    unsigned answered;
    size_t sent_bytes;
    char *carry;
    size_t carry_bytes;
};

static struct connection connections[MAX_FD];
static char read_buffer[READ_BYTES];
static char *answers;          /* `answer_copies` copies in a row: a pipeline is answered with one send */
static size_t answer_bytes;
static size_t answer_copies;
static bool close_after_answer;
static int epoll_fd;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void load_answer(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) die(path);
    answer_bytes = (size_t)ftell(file);
    rewind(file);
    answer_copies = answer_bytes * 2 > COPIES_BYTES ? 1 : COPIES_BYTES / answer_bytes;
    answers = malloc(answer_bytes * answer_copies);
    if (!answers || fread(answers, 1, answer_bytes, file) != answer_bytes) die(path);
    fclose(file);
    for (size_t copy = 1; copy < answer_copies; copy++) memcpy(answers + copy * answer_bytes, answers, answer_bytes);
}

static void close_connection(int fd) {
    struct connection *connection = &connections[fd];
    free(connection->carry);
    memset(connection, 0, sizeof *connection);
    close(fd);
}

/* Send what is owed until done or the socket is full. Returns false when the peer has gone. */
static bool send_owed(int fd) {
    struct connection *connection = &connections[fd];
    while (connection->owed) {
        size_t copies = connection->owed < answer_copies ? connection->owed : answer_copies;
        size_t left = copies * answer_bytes - connection->sent_bytes;
        ssize_t sent = send(fd, answers + connection->sent_bytes, left, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
        connection->sent_bytes += (size_t)sent;
        unsigned whole = (unsigned)(connection->sent_bytes / answer_bytes);
        connection->owed -= whole;
        connection->answered += whole;
        connection->sent_bytes %= answer_bytes;
    }
    return true;
}

static size_t content_length(const char *head, const char *end) {
    for (const char *line = head; line < end; line++) {
        if (end - line > 15 && strncasecmp(line, "content-length:", 15) == 0) return strtoul(line + 15, NULL, 10);
        line = memchr(line, '\n', (size_t)(end - line));
        if (!line) break;
    }
    return 0;
}

/* Walk over received bytes: heads and bodies become owed answers; an unfinished head is kept in `carry`. */
static void consume(struct connection *connection, const char *at, const char *end) {
    while (at < end) {
        if (connection->body_bytes_left) {
            size_t here = (size_t)(end - at);
            if (here > connection->body_bytes_left) here = connection->body_bytes_left;
            connection->body_bytes_left -= here;
            at += here;
            if (!connection->body_bytes_left) connection->owed++;
            continue;
        }
        const char *head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (!head_end) break;
        if (*at == 'P') connection->body_bytes_left = content_length(at, head_end);   /* only POST brings a body */
        if (!connection->body_bytes_left) connection->owed++;
        at = head_end + 4;
    }
    connection->carry_bytes = (size_t)(end - at);
    if (!connection->carry_bytes) return;
    if (!connection->carry) connection->carry = malloc(HEAD_BYTES);
    if (!connection->carry || connection->carry_bytes > HEAD_BYTES) die("a head longer than 16 KiB, or no memory");
    memcpy(connection->carry, at, connection->carry_bytes);
}

/* Read what is there and answer. A short read means the socket is empty, so no second recv to see EAGAIN;
 * only when the peer has closed must the end be read, because no further edge will tell. */
static void serve(int fd, bool peer_closed) {
    struct connection *connection = &connections[fd];
    for (;;) {
        size_t kept = connection->carry_bytes;
        if (kept) memcpy(read_buffer, connection->carry, kept);
        ssize_t got = recv(fd, read_buffer + kept, READ_BYTES - kept, 0);
        if (got < 0 && errno == EAGAIN) break;
        if (got <= 0) {
            close_connection(fd);
            return;
        }
        consume(connection, read_buffer, read_buffer + kept + got);
        if ((size_t)got < READ_BYTES - kept && !peer_closed) break;
    }
    bool done = !send_owed(fd) || (close_after_answer && connection->answered);
    if (done) close_connection(fd);
}

static void watch(int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        connections[fd].is_open = true;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        /* A connection that lives for one request has mostly sent it already: no epoll call is needed at all. */
        if (close_after_answer) serve(fd, false);
        if (connections[fd].is_open) watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
}

static int open_listener(unsigned short port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
    if (listen(listener, 4096) != 0) die("listen");
    return listener;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: floor PORT ANSWER_FILE [close]\n");
        return 2;
    }
    load_answer(argv[2]);
    close_after_answer = argc > 3 && strcmp(argv[3], "close") == 0;
    signal(SIGPIPE, SIG_IGN);
    int listener = open_listener((unsigned short)atoi(argv[1]));
    epoll_fd = epoll_create1(0);
    watch(listener, EPOLLIN);
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        for (int index = 0; index < ready; index++) {
            int fd = events[index].data.fd;
            if (fd == listener) {
                accept_all(listener);
            } else if (connections[fd].is_open) {
                serve(fd, (events[index].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
            }
        }
    }
}
