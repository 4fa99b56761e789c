/* Loaded into an unmodified server by LD_PRELOAD: from the moment on at which the file $FAULT_FILE appears, the system
 * calls that it names fail with EIO ("sync": fdatasync; "write": pwritev and pwrite64), for all threads and for good.
 *
 * A seccomp filter does it, so it is the same whether a call is made through the C library or without. Needs no
 * privileges. $FAULT_FILE.ready says that the filter is possible here, $FAULT_FILE.done that it is in force. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void mark(const char *path, const char *ending) {
    char name[4096];
    snprintf(name, sizeof name, "%s.%s", path, ending);
    FILE *file = fopen(name, "w");
    if (file) fclose(file);
}

static long fail(long first, long second) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

static void *watch(void *path) {
    for (;;) {
        char what[16] = "";
        FILE *file = fopen(path, "r");
        if (file) {
            if (!fgets(what, sizeof what, file)) what[0] = 0;
            fclose(file);
        }
        long failed = -1;
        if (!strcmp(what, "sync")) failed = fail(SYS_fdatasync, SYS_fdatasync);
        if (!strcmp(what, "write")) failed = fail(SYS_pwritev, SYS_pwrite64);
        if (failed == 0) {
            mark(path, "done");
            return NULL;
        }
        usleep(200);
    }
}

__attribute__((constructor)) static void begin(void) {
    char *path = getenv("FAULT_FILE");
    pthread_t thread;
    if (!path || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) return;
    if (!pthread_create(&thread, NULL, watch, path)) mark(path, "ready");
}
