/* Load generator - lean epoll client on one core, for measuring servers on loopback.
 *
 * usage: loadgen --port P [--address A] [--seconds S] [--warmup S] [--timeout S]
 *          --lane CONNECTIONS [--rate PER_SECOND] [--depth N] [--close]
 *            --path NAME WEIGHT REQUEST_FILE STATUS BODY_FILE ...   (then more lanes)
 * With --depth N (before --path) the files hold N requests, sent together, and their N bodies of one length.
 *
 * It warms up while comparing the first answers byte by byte, prints "ready", waits for a line on stdin, measures,
 * prints one line of JSON. Exit 0: measured; 2: wrong usage; 3: an answer was wrong, so there is nothing to measure.
 * Its run time is bounded by an alarm. It refuses any address but loopback.
 */
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 512, SCAN_INTERVAL_NS = 100 * 1000 * 1000, NS_PER_S = 1000 * 1000 * 1000 };

struct options {
    double seconds, warmup_s;
};

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static void refuse(const char *what, const char *found) {
    fprintf(stderr, "loadgen: %s, found \"%s\"; loadgen.c starts with the usage\n", what, found ? found : "");
    exit(2);
}

static char *load_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) refuse("cannot read a file", path);
    *bytes = (size_t)ftell(file);
    char *data = malloc(*bytes + 1);
    rewind(file);
    if (!data || fread(data, 1, *bytes, file) != *bytes) refuse("cannot read a file", path);
    fclose(file);
    return data;
}

static void add_path(struct lane *lane, char **words) {
    if (!lane) refuse("--path needs a --lane before it", words[0]);
    if (lane->path_count == MAX_PATHS) refuse("a lane has at most 8 paths", words[0]);
    if (lane->depth == 0) refuse("--depth must be 1 or more", "0");
    struct path *path = &lane->paths[lane->path_count++];
    snprintf(path->name, sizeof path->name, "%s", words[0]);
    path->weight = (unsigned)atoi(words[1]);
    if (path->weight == 0) refuse("the weight of a path must be 1 or more", words[1]);
    lane->weight_total += path->weight;
    path->request = load_file(words[2], &path->request_bytes);
    path->expected_status = atoi(words[3]);
    size_t bytes = 0;
    path->expected_bodies = load_file(words[4], &bytes);
    path->expected_body_bytes = bytes / lane->depth;
    if (bytes % lane->depth) refuse("the bodies of a pipeline must have one length", words[4]);
}

static struct lane *add_lane(struct run *run, const char *connections) {
    if (run->lane_count == MAX_LANES) refuse("at most 4 lanes", connections);
    struct lane *lane = &run->lanes[run->lane_count++];
    lane->connections = (unsigned)atoi(connections);
    lane->depth = 1;
    lane->idle = calloc(lane->connections + 1, sizeof *lane->idle);
    if (lane->connections == 0 || !lane->idle) refuse("a lane needs 1 connection or more", connections);
    return lane;
}

static void set_address(struct run *run, const char *address) {
    if (inet_pton(AF_INET, address, &run->address.sin_addr) != 1 || ntohl(run->address.sin_addr.s_addr) >> 24 != 127)
        refuse("--address must be loopback, 127.x.x.x", address);
}

static void read_options(struct run *run, struct options *options, int argc, char **argv) {
    struct lane *lane = NULL;
    set_address(run, "127.0.0.1");
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        char **values = argv + at + 1;
        int left = argc - at - 1;
        if (lane && strcmp(word, "--close") == 0) lane->is_one_request_per_connection = true;
        else if (left < 1) refuse("an option needs a value", word);
        else if (strcmp(word, "--path") == 0) {
            if (left < 5) refuse("--path needs NAME WEIGHT REQUEST_FILE STATUS BODY_FILE", word);
            add_path(lane, values);
            at += 5;
        } else {
            at++;
            if (strcmp(word, "--port") == 0) run->address.sin_port = htons((uint16_t)atoi(*values));
            else if (strcmp(word, "--address") == 0) set_address(run, *values);
            else if (strcmp(word, "--seconds") == 0) options->seconds = atof(*values);
            else if (strcmp(word, "--warmup") == 0) options->warmup_s = atof(*values);
            else if (strcmp(word, "--timeout") == 0) run->answer_timeout_ns = (uint64_t)(atof(*values) * NS_PER_S);
            else if (strcmp(word, "--lane") == 0) lane = add_lane(run, *values);
            else if (lane && strcmp(word, "--rate") == 0) lane->rate_per_s = atof(*values);
            else if (lane && strcmp(word, "--depth") == 0) lane->depth = (unsigned)atoi(*values);
            else refuse("unknown option", word);
        }
    }
    if (run->lane_count == 0 || run->address.sin_port == 0) refuse("--port and --lane are needed", "");
}

static void make_clients(struct run *run) {
    for (unsigned index = 0; index < run->lane_count; index++) {
        struct lane *lane = &run->lanes[index];
        if (lane->path_count == 0) refuse("a lane needs a --path", "");
        lane->interval_ns = lane->rate_per_s > 0 ? (uint64_t)(NS_PER_S / lane->rate_per_s) : 0;
        run->client_count += lane->connections;
    }
    run->clients = calloc(run->client_count, sizeof *run->clients);
    if (!run->clients) refuse("not enough memory for the connections", "");
    struct client *client = run->clients;
    for (unsigned index = 0; index < run->lane_count; index++)
        for (unsigned number = 0; number < run->lanes[index].connections; number++, client++) {
            client->lane = &run->lanes[index];
            client->fd = -1;
            client->state = CLOSED;
        }
}

/* When the loop must wake without an event: the end of the phase, the next scan, the next due request. */
static uint64_t next_wake_ns(const struct run *run, uint64_t deadline_ns, uint64_t next_scan_ns) {
    uint64_t wake = deadline_ns < next_scan_ns ? deadline_ns : next_scan_ns;
    for (unsigned index = 0; run->is_sending && index < run->lane_count; index++) {
        const struct lane *lane = &run->lanes[index];
        if (lane->rate_per_s > 0 && lane->idle_count && lane->next_due_ns < wake) wake = lane->next_due_ns;
    }
    return wake;
}

/* Serve events until the deadline; while draining, until nothing is in flight. */
static void loop_until(struct run *run, uint64_t deadline_ns) {
    struct epoll_event events[MAX_EVENTS];
    uint64_t next_scan_ns = now_ns() + SCAN_INTERVAL_NS;
    for (uint64_t now = now_ns(); now < deadline_ns; now = now_ns()) {
        if (!run->is_sending && count_waiting(run) == 0) return;
        for (unsigned index = 0; index < run->lane_count; index++)
            if (run->lanes[index].rate_per_s > 0) start_due_requests(run, &run->lanes[index]);
        uint64_t wake = next_wake_ns(run, deadline_ns, next_scan_ns);
        uint64_t wait_ns = wake > now ? wake - now : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};
        int ready = epoll_pwait2(run->epoll_fd, events, MAX_EVENTS, &wait, NULL);
        for (int index = 0; index < ready; index++) client_event(run, events[index].data.ptr, events[index].events);
        if (now < next_scan_ns) continue;
        give_up_late_answers(run, now, run->answer_timeout_ns);
        next_scan_ns = now + SCAN_INTERVAL_NS;
    }
}

/* Send for so many seconds, then let what is in flight finish. Returns the seconds during which requests were sent. */
static double run_phase(struct run *run, double seconds) {
    uint64_t start = now_ns(), deadline = start + (uint64_t)(seconds * NS_PER_S);
    run->is_sending = true;
    start_clients(run);
    loop_until(run, deadline);
    run->is_sending = false;
    double elapsed_s = (double)(now_ns() - start) / NS_PER_S;
    for (unsigned index = 0; index < run->lane_count; index++) {
        const struct lane *lane = &run->lanes[index];
        if (lane->rate_per_s > 0 && lane->next_due_ns < deadline)
            run->counters.not_sent += (deadline - lane->next_due_ns) / lane->interval_ns;
    }
    loop_until(run, now_ns() + run->answer_timeout_ns);
    give_up_late_answers(run, UINT64_MAX, 0);
    return elapsed_s;
}

/* The warm-up is the check: the first answers were compared byte by byte, all by status and length. */
static void check_warm_up(struct run *run) {
    struct counters *counters = &run->counters;
    bool is_pipeline = run->lanes[0].depth > 1;
    const char *problem = "";
    uint64_t count = 0;
    if (counters->answered == 0) {
        problem = "no request was answered; connections that failed:";
        count = counters->connect_failures;
    } else if (is_pipeline && counters->unanswered) {
        problem = "requests of pipelines that were never answered:";
        count = counters->unanswered;
    }
    if (!counters->complaint[0] && problem[0])
        snprintf(counters->complaint, MAX_COMPLAINT, "%s %llu", problem, (unsigned long long)count);
    if (!counters->complaint[0]) return;
    print_failed_check(counters->complaint);
    exit(3);
}

int main(int argc, char **argv) {
    static struct run run = {.address.sin_family = AF_INET, .answer_timeout_ns = 2ull * NS_PER_S};
    struct options options = {.seconds = 2, .warmup_s = 0.3};
    read_options(&run, &options, argc, argv);
    make_clients(&run);
    double timeout_s = (double)run.answer_timeout_ns / NS_PER_S;
    alarm((unsigned)(options.seconds + options.warmup_s + 2 * timeout_s + 30));
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);   /* ns; the default of 50 us would be part of every open-loop latency */
    run.epoll_fd = epoll_create1(0);
    run_phase(&run, options.warmup_s);
    check_warm_up(&run);
    memset(&run.counters, 0, sizeof run.counters);
    for (unsigned lane = 0; lane < run.lane_count; lane++)
        for (unsigned path = 0; path < run.lanes[lane].path_count; path++)
            memset(&run.lanes[lane].paths[path].latency, 0, sizeof(struct histogram));
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF) return 2;
    print_report(&run, run_phase(&run, options.seconds));
    return 0;
}
