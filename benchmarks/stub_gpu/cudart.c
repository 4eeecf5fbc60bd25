// CUDA's runtime library, as far as onnxruntime-gpu and PyTorch call it, on a device that computes nothing: memory is the host's,
// copies are made, kernels return at once. Each call is a line in the file that STUB_GPU_TRACE names: thread, "[graph]"
// while a stream is recorded, function, two values, a size.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vector_types.h"
#include "driver_types.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *trace;
static void *recorded;  // the stream

void stub_trace(const char *name, const void *a, const void *b, long n) {
  pthread_mutex_lock(&lock);
  if (!trace) {
    const char *path = getenv("STUB_GPU_TRACE");
    trace = fopen(path ? path : "/dev/null", "w");
    setvbuf(trace, 0, _IOLBF, 0);
  }
  fprintf(trace, "%ld %s%s %p %p %ld\n", syscall(SYS_gettid), recorded ? "[graph] " : "", name, a, b, n);
  pthread_mutex_unlock(&lock);
}

#define SAY(a, b, n) stub_trace(__func__, (void *)(a), (void *)(b), (long)(n))
#define BREAKS_A_RECORDING(a, n) (SAY(a, 0, n), recorded ? stub_trace("breaks the recording", 0, 0, 0) : (void)0)

static int allocate(void **p, size_t n) {
  *p = aligned_alloc(256, (n + 255) / 256 * 256);
  memset(*p, 0, n);
  return 0;
}
static int make(void **handle) { *handle = malloc(64); return 0; }

static struct { char *p; size_t n; } page_locked[65536];  // never taken off: what is freed is seldom asked about
static unsigned page_locked_count;
static int allocate_on_host(void **p, size_t n) {
  allocate(p, n);
  pthread_mutex_lock(&lock);
  page_locked[page_locked_count % 65536].p = *p;
  page_locked[page_locked_count++ % 65536].n = n;
  pthread_mutex_unlock(&lock);
  return 0;
}
static int is_page_locked(const char *p) {
  for (unsigned i = 0; i < page_locked_count && i < 65536; i++)
    if (p >= page_locked[i].p && p < page_locked[i].p + page_locked[i].n) return 1;
  return 0;
}

// Device
static __thread int device;
int cudaGetDeviceCount(int *n) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  *n = !visible || (*visible && *visible != '-');
  return *n ? 0 : cudaErrorNoDevice;
}
int cudaGetDevice(int *d) { *d = device; return 0; }
int cudaSetDevice(int d) { device = d; return 0; }
int cudaDeviceSynchronize(void) { BREAKS_A_RECORDING(0, 0); return 0; }
int cudaDriverGetVersion(int *v) { *v = CUDA_MAJOR * 1000; return 0; }
int cudaRuntimeGetVersion(int *v) { *v = CUDA_MAJOR * 1000; return 0; }
int cudaMemGetInfo(size_t *left, size_t *all) { *left = 70ull << 30; *all = 80ull << 30; return 0; }
int cudaDeviceGetAttribute(int *v, int which, int d) {
  *v = which == cudaDevAttrComputeCapabilityMajor ? 9 : which == cudaDevAttrMultiProcessorCount ? 132
     : which == cudaDevAttrMaxThreadsPerBlock ? 1024 : which == cudaDevAttrMaxSharedMemoryPerBlock ? 49152
     : which == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 232448 : which == cudaDevAttrWarpSize ? 32
     : which == cudaDevAttrComputeCapabilityMinor ? 0 : 1;
  return 0;
}
int cudaGetDeviceProperties(struct cudaDeviceProp *p, int d) {
  memset(p, 0, sizeof *p);
  strcpy(p->name, "stub");
  p->major = 9, p->multiProcessorCount = 132, p->totalGlobalMem = 80ull << 30, p->warpSize = 32;
  p->sharedMemPerBlock = 49152, p->sharedMemPerBlockOptin = 232448, p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = 2048, p->regsPerBlock = 65536, p->textureAlignment = 512;
  p->maxGridSize[0] = 2147483647, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  return 0;
}

// Memory
int cudaMalloc(void **p, size_t n) { BREAKS_A_RECORDING(0, n); return allocate(p, n); }
int cudaMallocHost(void **p, size_t n) { BREAKS_A_RECORDING(0, n); return allocate_on_host(p, n); }
int cudaHostAlloc(void **p, size_t n, unsigned f) { BREAKS_A_RECORDING(0, n); return allocate_on_host(p, n); }
int cudaMallocFromPoolAsync(void **p, size_t n, void *pool, void *s) { SAY(s, 0, n); return allocate(p, n); }
int cudaFree(void *p) { BREAKS_A_RECORDING(p, 0); free(p); return 0; }
int cudaFreeHost(void *p) { BREAKS_A_RECORDING(p, 0); free(p); return 0; }
int cudaFreeAsync(void *p, void *s) { SAY(p, s, 0); free(p); return 0; }
int cudaMemcpy(void *a, const void *b, size_t n, int k) { BREAKS_A_RECORDING(a, n); memcpy(a, b, n); return 0; }
int cudaMemset(void *a, int v, size_t n) { BREAKS_A_RECORDING(a, n); memset(a, v, n); return 0; }
int cudaMemsetAsync(void *a, int v, size_t n, void *s) { SAY(a, s, n); memset(a, v, n); return 0; }
int cudaMemcpyAsync(void *a, const void *b, size_t n, int kind, void *s) {
  static const char *names[] = {"copy in the host", "copy from the host", "copy to the host", "copy in the device"};
  stub_trace(names[kind & 3], a, b, n);
  memcpy(a, b, n);
  return 0;
}
int cudaMemcpy2DAsync(void *a, size_t pa, const void *b, size_t pb, size_t w, size_t h, int k, void *s) {
  SAY(a, b, w * h);
  for (size_t i = 0; i < h; i++) memcpy((char *)a + i * pa, (const char *)b + i * pb, w);
  return 0;
}
int cudaPointerGetAttributes(struct cudaPointerAttributes *a, const void *p) {
  memset(a, 0, sizeof *a);
  a->type = is_page_locked(p) ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
  return 0;
}

// Streams, events, graphs
int cudaStreamCreate(void **s) { return make(s); }
int cudaStreamCreateWithFlags(void **s, unsigned f) { return make(s); }
int cudaStreamDestroy(void *s) { free(s); return 0; }
int cudaStreamSynchronize(void *s) {
  SAY(s, 0, 0);
  if (recorded && (!s || s == recorded)) stub_trace("breaks the recording", 0, 0, 0);
  return 0;
}
int cudaStreamWaitEvent(void *s, void *e, unsigned f) { return 0; }
int cudaStreamIsCapturing(void *s, int *status) { *status = s && s == recorded; return 0; }
int cudaStreamBeginCapture(void *s, int mode) { SAY(s, 0, mode); recorded = s; return 0; }
int cudaStreamEndCapture(void *s, void **g) { recorded = 0; SAY(s, 0, 0); return make(g); }
int cudaGraphInstantiate(void **x, void *g, unsigned long long f) { return make(x); }
int cudaGraphDestroy(void *g) { free(g); return 0; }
int cudaGraphExecDestroy(void *g) { free(g); return 0; }
int cudaGraphLaunch(void *g, void *s) { SAY(g, s, 0); return 0; }
int cudaEventCreate(void **e) { return make(e); }
int cudaEventCreateWithFlags(void **e, unsigned f) { return make(e); }
int cudaEventDestroy(void *e) { free(e); return 0; }
int cudaEventElapsedTime(float *t, void *a, void *b) { *t = 1; return 0; }

// Kernels
const char *cudaGetErrorName(int e) { return "stub"; }
const char *cudaGetErrorString(int e) { return "stub"; }
int cudaFuncGetAttributes(struct cudaFuncAttributes *a, const void *k) {
  memset(a, 0, sizeof *a);
  a->maxThreadsPerBlock = 1024, a->numRegs = 32;
  return 0;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *k, int b, size_t s, unsigned f) {
  *n = 2;
  return 0;
}
int cudaLaunchKernel(const void *k, dim3 g, dim3 b, void **a, size_t n, void *s) { stub_trace("kernel", k, s, 0); return 0; }
int __cudaLaunchKernel(const void *k, dim3 g, dim3 b, void **a, size_t n, void *s) { stub_trace("kernel", k, s, 0); return 0; }
int cudaLaunchKernelExC(const void *c, const void *k, void **a) { stub_trace("kernel", k, 0, 0); return 0; }
int cudaLaunchHostFunc(void *s, void (*f)(void *), void *d) { SAY(s, 0, 0); if (!recorded) f(d); return 0; }
static void *registered[4];
void **__cudaRegisterFatBinary(void *b) { return registered; }
int __cudaGetKernel(void **k, const void *f) { *k = (void *)f; return 0; }
static __thread struct { dim3 grid, block; size_t n; void *s; } call;
unsigned __cudaPushCallConfiguration(dim3 g, dim3 b, size_t n, void *s) {
  call.grid = g, call.block = b, call.n = n, call.s = s;
  return 0;
}
int __cudaPopCallConfiguration(dim3 *g, dim3 *b, size_t *n, void *s) {
  *g = call.grid, *b = call.block, *n = call.n, *(void **)s = call.s;
  return 0;
}

// What PyTorch calls besides
int cudaDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return 0; }
int cudaDeviceGetPCIBusId(char *s, int n, int d) { strncpy(s, "0000:01:00.0", n); return 0; }
int cudaDeviceGetStreamPriorityRange(int *least, int *most) { *least = *most = 0; return 0; }
int cudaStreamCreateWithPriority(void **s, unsigned f, int p) { return make(s); }
int cudaStreamGetPriority(void *s, int *p) { *p = 0; return 0; }
int cudaStreamGetCaptureInfo(void *s, int *status, unsigned long long *id, void **g, void ***d, void **e, size_t *n) {
  *status = s && s == recorded;
  if (id) *id = 1;
  if (g) *g = (void *)64;
  if (d) *d = 0;
  if (n) *n = 0;
  return 0;
}
int cudaGraphInstantiateWithFlags(void **x, void *g, unsigned long long f) { return make(x); }
int cudaGraphGetNodes(void *g, void **nodes, size_t *n) { *n = 1; return 0; }
int cudaUserObjectCreate(void **o, void *p, void (*f)(void *), unsigned n, unsigned flags) { return make(o); }
int cudaMallocAsync(void **p, size_t n, void *s) { SAY(s, 0, n); return allocate(p, n); }
int cudaGetSymbolAddress(void **p, const void *symbol) { *p = calloc(1, 1 << 20); return 0; }
int cudaLibraryLoadData(void **l, void *data) { return make(l); }
int cudaLibraryGetKernel(void **k, void *l, const char *name) { return make(k); }
int cudaDeviceGetDefaultMemPool(void **p, int d) { return make(p); }
static int succeeds(void) { return 0; }
static int is_active(int d, unsigned *flags, int *active) { *flags = 0; *active = 1; return 0; }
static int current(void **context) { *context = (void *)64; return 0; }
int cudaGetDriverEntryPointByVersion(const char *name, void **f, unsigned v, unsigned long long flags, int *status) {
  *f = !strcmp(name, "cuDevicePrimaryCtxGetState") ? (void *)is_active
     : !strcmp(name, "cuCtxGetCurrent") ? (void *)current : (void *)succeeds;
  if (status) *status = 0;
  return 0;
}
