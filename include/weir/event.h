/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Events that have a number: the journal's MESSAGE_ID. It never changes, so that `journalctl -x` explains
 * the record (weir.catalog) and tools find it whatever its words are. Elsewhere it is not shown.
 *
 * Example:
 *
 *     #include <weir/event.h>
 *
 *     static void tell(weir_logger *logger, const char *upstream, const char *server)
 *     {
 *         weir_log_with(logger, WEIR_LOG_WARNING,
 *                       WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_SERVER_DOWN},
 *                                       {"upstream", upstream}, {"server", server}),
 *                       "server %s failed", server);
 *     }
 */
#ifndef WEIR_EVENT_H
#define WEIR_EVENT_H

#include <weir/log.h>

WEIR_BEGIN_DECLS

/** weir serves. */
#define WEIR_EVENT_STARTED "0a3f67a0040b4021b42531a64442500d"
/** weir has stopped. */
#define WEIR_EVENT_STOPPED "9fe1f382277144849361d010a7411d5d"
/** weir ends in order. */
#define WEIR_EVENT_DRAINING "845ed80098914f6280b68886efc89bc9"
/** A new configuration is in force. */
#define WEIR_EVENT_RELOADED "1ed9d4e7ffaf45339f813ac9f2fe821f"
/** A new configuration was rejected. */
#define WEIR_EVENT_RELOAD_REJECTED "680365a7107743d18b29c910fa9578f1"
/** A server of an upstream is passed over. */
#define WEIR_EVENT_SERVER_DOWN "256cff8da3ad43459df8cbd33c742728"
/** A server of an upstream works again. */
#define WEIR_EVENT_SERVER_UP "7585173467e74794a04d6418c12afc96"
/** An operator has said something of a server. */
#define WEIR_EVENT_SERVER_OVERRIDDEN "d5a19040e2fc4cb6905140dd5d61062e"
/** A certificate expires soon, or has expired. */
#define WEIR_EVENT_CERTIFICATE_EXPIRES "c1b69fdbc036462d999ac693567cb0f0"
/** Certificates were read again. */
#define WEIR_EVENT_CERTIFICATE_READ "4dfa7cb0d0aa4fbbb3648bc21fc32a89"
/** A changed certificate is not used. */
#define WEIR_EVENT_CERTIFICATE_REFUSED "1ea8bbf0a49a42328741876828f6207b"
/** A callback held a loop for long. */
#define WEIR_EVENT_SLOW_CALLBACK "c33e1325b793495da22644ebad0fd0c7"
/** A loop does not turn. */
#define WEIR_EVENT_LOOP_STUCK "bcb2b856bdf24116a797c87e7c99f3d3"
/** A plugin failed. */
#define WEIR_EVENT_PLUGIN_ERROR "73a91a9bc1b94d4e8a52413cd14a71ef"
/** Connections are refused for a limit. */
#define WEIR_EVENT_CONNECTIONS_REFUSED "0895f43e9eb5446dbdeecd9129d8f3d7"
/** Records of the log were dropped. */
#define WEIR_EVENT_LOG_DROPPED "3dd6ef06033f4d2a8ae61ab5c2e42be6"
/** Records of the access log are dropped. */
#define WEIR_EVENT_ACCESS_DROPPED "07d56e2b75dd42fe81b0857ecdfe356a"

WEIR_END_DECLS

#endif
