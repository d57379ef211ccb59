/* A file layer that remembers what would survive a loss of power: LD_PRELOAD it into a process.

   Below $SYNCED_FOLDER nothing is kept of a write but what an fsync or fdatasync of its file
   followed; nothing of a file but what an fsync of its folder has named since. What is kept stands
   in $SYNCED_KEPT: files/<inode> has contents, names/<inode> those that a folder holds, a line each
   with an inode before it. This is the worst that a disk may do: one that keeps every write it was
   not told to wait for is kinder. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FILES = 64, MOST_RANGES = 65536 };

struct range { off_t from, to; };
struct file { ino_t inode; int count; struct range *ranges; };

static struct file files[MOST_FILES];
static int file_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void find_real(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}

static void give_up(const char *why) {
    perror(why);
    abort();
}

/* Whether a descriptor is of a file, or the folder, that is watched. */
static int watched(int fd, char *path) {
    const char *folder = getenv("SYNCED_FOLDER");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (!folder || length < 0) return 0;
    path[length] = 0;
    size_t prefix = strlen(folder);
    return !strncmp(path, folder, prefix) && (path[prefix] == '/' || path[prefix] == 0);
}

static struct file *find(ino_t inode) {
    for (int i = 0; i < file_count; i++)
        if (files[i].inode == inode) return &files[i];
    if (file_count == MOST_FILES) give_up("too many files");
    struct file *file = &files[file_count++];
    file->inode = inode;
    file->ranges = malloc(MOST_RANGES * sizeof *file->ranges);
    return file;
}

static void note(int fd, off_t from, ssize_t length) {
    char path[PATH_MAX];
    struct stat told;
    if (length <= 0 || fstat(fd, &told) || !S_ISREG(told.st_mode) || !watched(fd, path)) return;
    pthread_mutex_lock(&lock);
    struct file *file = find(told.st_ino);
    struct range *last = file->count ? &file->ranges[file->count - 1] : NULL;
    if (last && last->to == from) last->to += length;
    else if (file->count < MOST_RANGES)
        file->ranges[file->count++] = (struct range){from, from + length};
    else give_up("too many writes without an fsync");
    pthread_mutex_unlock(&lock);
}

static int open_kept(const char *kind, const char *name, int flags) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s/%s", getenv("SYNCED_KEPT"), kind, name);
    int kept = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
    if (kept < 0) give_up(path);
    return kept;
}

static void keep_content(int fd, const struct stat *told) {
    char name[32], buffer[65536];
    snprintf(name, sizeof name, "%lu", (unsigned long)told->st_ino);
    struct file *file = find(told->st_ino);
    int kept = open_kept("files", name, O_WRONLY);
    for (int i = 0; i < file->count; i++)
        for (off_t at = file->ranges[i].from; at < file->ranges[i].to;) {
            size_t wanted = file->ranges[i].to - at;
            ssize_t got = pread(fd, buffer, wanted < sizeof buffer ? wanted : sizeof buffer, at);
            if (got <= 0) break; /* it was truncated since */
            if (real_pwrite(kept, buffer, got, at) != got) give_up("keep");
            at += got;
        }
    file->count = 0;
    if (ftruncate(kept, told->st_size)) give_up("keep");
    close(kept);
}

static void keep_names(int fd, const struct stat *told) {
    char name[32];
    snprintf(name, sizeof name, "%lu", (unsigned long)told->st_ino);
    int kept = open_kept("names", name, O_WRONLY | O_TRUNC);
    DIR *entries = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;
    if (!entries) give_up("names");
    while ((entry = readdir(entries))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char line[NAME_MAX + 32];
        unsigned long inode = entry->d_ino;
        int length = snprintf(line, sizeof line, "%lu %s\n", inode, entry->d_name);
        if (real_write(kept, line, length) != length) give_up("names");
    }
    closedir(entries);
    close(kept);
}

static int keep(int fd, int result) {
    char path[PATH_MAX];
    struct stat told;
    if (result || fstat(fd, &told) || !watched(fd, path)) return result;
    pthread_mutex_lock(&lock);
    if (S_ISDIR(told.st_mode)) keep_names(fd, &told);
    else keep_content(fd, &told);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t written = real_write(fd, data, size);
    if (written > 0) note(fd, lseek(fd, 0, SEEK_CUR) - written, written);
    return written;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    ssize_t written = real_pwrite(fd, data, size, at);
    note(fd, at, written);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return pwrite64(fd, data, size, at);
}

int fsync(int fd) { return keep(fd, real_fsync(fd)); }

int fdatasync(int fd) { return keep(fd, real_fdatasync(fd)); }
