/* Load generator - one client connection: open, send, receive, give up. Edge-triggered, no epoll_ctl per request. */
#include "loadgen.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, SOURCE_ADDRESSES = 64 };

static char read_buffer[READ_BYTES];

static void be_free(struct run *run, struct client *client);

static void drop(struct client *client) {
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
    client->state = CLOSED;
    client->outstanding = 0;
}

static void fail_to_connect(struct run *run, struct client *client) {
    run->counters.connect_failures++;
    drop(client);
    client->could_not_connect = true;
}

/* Open a connection from one of many loopback source addresses: one address has about 28,000 ports, which new
 * connection per request would use up within a second or two (TIME_WAIT). */
static void open_connection(struct run *run, struct client *client) {
    static unsigned next_source;
    int on = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + next_source++ % SOURCE_ADDRESSES);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = client};
    client->opened++;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    client->state = CONNECTING;
    client->sent_bytes = 0;
    setsockopt(client->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const struct sockaddr *server = (const struct sockaddr *)&run->address;
    bool is_open = client->fd >= 0 && bind(client->fd, (struct sockaddr *)&source, sizeof source) == 0 &&
                   (connect(client->fd, server, sizeof run->address) == 0 || errno == EINPROGRESS) &&
                   epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0;
    if (!is_open) fail_to_connect(run, client);
}

static struct path *choose_path(struct lane *lane) {
    static uint64_t random_state = 88172645463325252ull;   /* xorshift64, the same sequence in every run */
    if (lane->path_count == 1) return &lane->paths[0];
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    unsigned pick = (unsigned)(random_state % lane->weight_total);
    struct path *path = lane->paths;
    while (pick >= path->weight) pick -= (path++)->weight;
    return path;
}

/* The connection ended too early, or must not be used again. */
static void lose(struct run *run, struct client *client) {
    bool was_idle = client->state == IDLE;
    run->counters.unanswered += client->outstanding;
    run->counters.reconnects++;
    drop(client);
    if (!was_idle) be_free(run, client);   /* an idle client is free already; its next request opens a connection */
}

/* The first answers are compared byte by byte; those of a pipeline always, because that is how their order is known. */
static void next_answer(struct client *client) {
    struct path *path = client->path;
    unsigned depth = client->lane->depth;
    bool is_first = path->checked < CHECKED_ANSWERS;
    path->checked += is_first;
    const char *body = path->expected_bodies + (depth - client->outstanding) * path->expected_body_bytes;
    expect_answer(&client->answer, body, is_first || depth > 1);
}

static void send_request(struct run *run, struct client *client) {
    const struct path *path = client->path;
    while (client->sent_bytes < path->request_bytes) {
        size_t left = path->request_bytes - client->sent_bytes;
        ssize_t sent = send(client->fd, path->request + client->sent_bytes, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return;
        if (sent < 0) {
            lose(run, client);
            return;
        }
        client->sent_bytes += (size_t)sent;
    }
}

void begin_request(struct run *run, struct client *client, uint64_t due_ns) {
    client->path = choose_path(client->lane);
    client->start_ns = due_ns;
    client->sent_bytes = 0;
    client->outstanding = client->lane->depth;
    next_answer(client);
    if (client->fd < 0) {
        open_connection(run, client);   /* when that fails, give_up_late_answers() tries again: no spinning */
        return;
    }
    client->state = WAITING;
    send_request(run, client);
}

/* Open loop: start what is due while there are free connections. Latency counts from when it was due. */
void start_due_requests(struct run *run, struct lane *lane) {
    uint64_t now = now_ns();
    while (run->is_sending && lane->idle_count && lane->next_due_ns <= now) {
        struct client *client = lane->idle[--lane->idle_count];
        uint64_t due_ns = lane->next_due_ns;
        lane->next_due_ns += lane->interval_ns;
        begin_request(run, client, due_ns);
    }
}

/* The client has nothing in flight: wait for a due time (open loop) or send the next request (closed loop). */
static void be_free(struct run *run, struct client *client) {
    struct lane *lane = client->lane;
    if (client->fd >= 0) client->state = IDLE;
    if (lane->rate_per_s > 0) {
        lane->idle[lane->idle_count++] = client;
        start_due_requests(run, lane);
    } else if (run->is_sending) {
        begin_request(run, client, now_ns());
    }
}

void start_clients(struct run *run) {
    for (unsigned index = 0; index < run->lane_count; index++) {
        run->lanes[index].idle_count = 0;
        run->lanes[index].next_due_ns = now_ns();
    }
    for (unsigned index = 0; index < run->client_count; index++) {
        run->clients[index].answers = 0;
        be_free(run, &run->clients[index]);
    }
}

static void count_answer(struct run *run, struct client *client, bool is_right) {
    struct counters *counters = &run->counters;
    client->outstanding--;
    client->answers++;
    if (!is_right) {
        counters->wrong++;
        return;
    }
    counters->answered++;
    counters->answered_in_window += run->is_sending;
    record_latency(&client->path->latency, now_ns() - client->start_ns);
}

/* One whole answer was read. Returns false when the client must stop reading this buffer. */
static bool take_answer(struct run *run, struct client *client, bool is_right, size_t bytes_after) {
    count_answer(run, client, is_right);
    bool is_unasked = is_right && !client->outstanding && bytes_after;
    if (is_unasked) {
        char *complaint = run->counters.complaint;
        run->counters.wrong++;
        if (!complaint[0]) snprintf(complaint, MAX_COMPLAINT, "%zu bytes after the last answer", bytes_after);
    }
    if (!is_right || is_unasked) {
        lose(run, client);
        return false;
    }
    if (client->outstanding) {
        next_answer(client);
        return true;
    }
    if (client->lane->is_one_request_per_connection || client->answer.closes) {
        client->state = AWAITING_CLOSE;
        client->start_ns = now_ns();
    } else {
        be_free(run, client);
    }
    return false;
}

static void take_bytes(struct run *run, struct client *client, size_t bytes) {
    for (size_t at = 0, used = 0; at < bytes && client->outstanding; at += used) {
        enum answer_outcome outcome = read_answer(&client->answer, client->path, read_buffer + at, bytes - at, &used,
                                                  run->counters.complaint);
        if (outcome != NEED_MORE && !take_answer(run, client, outcome == ANSWER_DONE, bytes - at - used)) return;
    }
}

static void server_closed(struct run *run, struct client *client) {
    if (client->outstanding && client->answer.state == BODY_TO_CLOSE) {
        bool is_right = end_of_answer(&client->answer, client->path, run->counters.complaint) == ANSWER_DONE;
        count_answer(run, client, is_right);
    } else if (client->state == AWAITING_CLOSE && client->lane->is_one_request_per_connection) {
        drop(client);
        be_free(run, client);
        return;
    }
    lose(run, client);
}

static void receive(struct run *run, struct client *client, bool peer_closed) {
    unsigned opened = client->opened;
    while (client->opened == opened && client->fd >= 0) {
        ssize_t got = recv(client->fd, read_buffer, READ_BYTES, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            server_closed(run, client);
            return;
        }
        take_bytes(run, client, (size_t)got);
        if (peer_closed && client->opened == opened && client->state == AWAITING_CLOSE) {
            server_closed(run, client);   /* epoll has told of the close: save the recv that returns 0 */
            return;
        }
        if (got < READ_BYTES && !peer_closed) return;   /* a short read: the socket is empty, save the EAGAIN */
    }
}

void client_event(struct run *run, struct client *client, uint32_t events) {
    if (client->fd < 0) return;
    if (client->state == CONNECTING) {
        if (events & EPOLLERR) {
            fail_to_connect(run, client);
            return;
        }
        client->state = WAITING;
    }
    unsigned opened = client->opened;
    if (events & EPOLLOUT && client->outstanding) send_request(run, client);
    if (client->opened == opened && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        receive(run, client, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}

/* Count as unanswered what has waited longer than the limit, and let clients that could not connect try again. */
void give_up_late_answers(struct run *run, uint64_t now, uint64_t timeout_ns) {
    for (unsigned index = 0; index < run->client_count; index++) {
        struct client *client = &run->clients[index];
        bool is_waiting = client->outstanding || client->state == AWAITING_CLOSE;
        if (is_waiting && now > client->start_ns + timeout_ns) {
            run->counters.not_closed += client->state == AWAITING_CLOSE;
            lose(run, client);
        } else if (client->state == CLOSED && client->could_not_connect) {
            client->could_not_connect = false;
            be_free(run, client);
        }
    }
}

unsigned count_waiting(const struct run *run) {
    unsigned waiting = 0;
    for (unsigned index = 0; index < run->client_count; index++)
        waiting += run->clients[index].outstanding || run->clients[index].state == AWAITING_CLOSE;
    return waiting;
}
