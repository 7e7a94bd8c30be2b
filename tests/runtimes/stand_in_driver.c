/* Stands in for NVIDIA's driver library: writes down every call with its arguments and answers with known numbers. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static char written[65536];
static char refused[64];
static const uintptr_t CONTEXT = 0x7f00000000001111, STREAM = 0x7f00000000002222, EVENT = 0x7f00000000003330;
static int events;

void start_anew(const char *refuse) { written[0] = 0, events = 0, snprintf(refused, sizeof refused, "%s", refuse); }
const char *told(void) { return written; }

static int note(const char *name, const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t used = strlen(written);
    snprintf(written + used, sizeof written - used, "%s(%s)\n", name, line);
    return strcmp(name, refused) ? 0 : 999;
}

int cuInit(unsigned flags) { return note("cuInit", "%u", flags); }
int cuDriverGetVersion(int *version) {
    *version = 13020;
    return note("version", "");
}
int cuDeviceGetCount(int *count) {
    *count = 2;
    return note("count", "");
}
int cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, (size_t)length, "Device %d", device);
    return note("name", "%d", device);
}
int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal + 40;
    return ordinal > 1 ? 101 : note("cuDeviceGet", "%d", ordinal);
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = (void *)CONTEXT;
    return note("retain", "%d", device);
}
int cuDevicePrimaryCtxRelease_v2(int device) { return note("release", "%d", device); }
int cuCtxPushCurrent_v2(void *context) { return note("push", "%s", context == (void *)CONTEXT ? "context" : "?"); }
int cuCtxPopCurrent_v2(void **context) {
    *context = (void *)CONTEXT;
    return note("pop", "");
}
int cuMemGetInfo_v2(size_t *free, size_t *total) {
    *free = 10000000001, *total = 80000000000;
    return note("memory", "");
}
int cuStreamCreate(void **stream, unsigned flags) {
    *stream = (void *)STREAM;
    return note("stream", "%u", flags);
}
int cuStreamSynchronize(void *stream) { return note("wait", "%s", stream == (void *)STREAM ? "stream" : "?"); }
int cuStreamDestroy_v2(void *stream) { return note("end stream", "%s", stream == (void *)STREAM ? "stream" : "?"); }
/* A function of the host that work in the stream waits for, in a thread of its own. */
static struct { void (*function)(void *); void *data; pthread_t thread; int runs; } host;
static void *call_host(void *nothing) { return host.function(host.data), nothing; }
int cuLaunchHostFunc(void *stream, void (*function)(void *), void *data) {
    int code = note("hold", "%s", stream == (void *)STREAM ? "stream" : "?");
    host.function = function, host.data = data;
    if (!code) host.runs = !pthread_create(&host.thread, 0, call_host, 0);
    return code;
}
int cuEventCreate(void **event, unsigned flags) {
    *event = (void *)(EVENT + (uintptr_t)events++);
    return note("event", "%u", flags);
}
static int number(void *event) { return (int)((uintptr_t)event - EVENT); }
int cuEventRecord(void *event, void *stream) { return note("record", "%d, %s", number(event), stream == (void *)STREAM ? "stream" : "?"); }
int cuEventSynchronize(void *event) {
    if (host.runs) pthread_join(host.thread, 0), host.runs = 0;
    return note("wait for", "%d", number(event));
}
int cuEventElapsedTime(float *milliseconds, void *start, void *end) {
    *milliseconds = 12.5f;
    return note("elapsed", "%d, %d", number(start), number(end));
}
int cuEventDestroy_v2(void *event) { return note("end event", "%d", number(event)); }
