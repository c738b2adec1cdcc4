/* SPDX-License-Identifier: Apache-2.0 */
/**
 * All of the runtime: what a program that embeds libweir includes.
 *
 * Example:
 *
 *     static weir_error *run(void *arg)
 *     {
 *         WEIR_TRY(weir_sleep(WEIR_S(1)));
 *         printf("a second later\n");
 *         return arg;
 *     }
 *
 *     int main(void)
 *     {
 *         weir_error *error = weir_run(run, NULL, NULL);
 *
 *         if (!error)
 *             return 0;
 *         weir_log_error(weir_logger_get("program"), WEIR_LOG_ERROR, error, "run failed");
 *         return 1;
 *     }
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/address.h>
#include <weir/base.h>
#include <weir/callback.h>
#include <weir/chunk.h>
#include <weir/combinators.h>
#include <weir/context.h>
#include <weir/datagram.h>
#include <weir/debug.h>
#include <weir/error.h>
#include <weir/executor.h>
#include <weir/future.h>
#include <weir/introspection.h>
#include <weir/isolate.h>
#include <weir/job.h>
#include <weir/log.h>
#include <weir/loop.h>
#include <weir/pipe.h>
#include <weir/process-pool.h>
#include <weir/process.h>
#include <weir/proxy-protocol.h>
#include <weir/queue.h>
#include <weir/relay.h>
#include <weir/resolver.h>
#include <weir/scope.h>
#include <weir/server.h>
#include <weir/slice.h>
#include <weir/socket.h>
#include <weir/stream.h>
#include <weir/sync.h>
#include <weir/task.h>
#include <weir/time.h>
#include <weir/tls.h>
#include <weir/transport.h>

#endif
