// Every limit of the server that an operator should not need to turn, with its unit and its reason. Pure.
//
// One section per area. What an operator may turn lies in server/config.ts.

// ── The wire (server/pgwire/) ────────────────────────────────────────────────────────────────────

/** Bytes of a start-up packet. PostgreSQL's MAX_STARTUP_PACKET_LENGTH. */
export const STARTUP_PACKET_BYTES_MAX = 10_000;

/** Bytes of a SASL message. Ours need some hundred; nobody is known yet when they arrive. */
export const AUTHENTICATION_MESSAGE_BYTES_MAX = 8 * 1024;

/** Bytes of a message that holds names and numbers only. PostgreSQL's PQ_SMALL_MESSAGE_LIMIT. */
export const SMALL_MESSAGE_BYTES_MAX = 10_000;

/** Bytes of Query, Parse, Bind and CopyData. It bounds what one client can make the node assemble. */
export const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Requests for encryption that one connection may make before its start-up packet (one of each kind). */
export const ENCRYPTION_REQUESTS_MAX = 2;

/** Bytes read ahead of a running command; above it the socket is not read, and the client's sends block. */
export const RECEIVE_AHEAD_BYTES_MAX = 256 * 1024;

/** Bytes that wait for a slow client; above it the producer of rows waits for the socket. */
export const SEND_QUEUE_BYTES_MAX = 1024 * 1024;

/**
 * Time for which a client may take nothing of a full queue before it is cut: whoever produces its rows (a
 * reader process, a snapshot) waits for it meanwhile.
 */
export const SEND_STALL_MS_MAX = 600_000;

/** Bytes in which small messages are gathered before they go to the socket in one write. */
export const SEND_SLAB_BYTES = 32 * 1024;

/** Bytes of COPY data handed over at once: rows come one a message, and a turn of the loop each is too dear. */
export const COPY_CHUNK_BYTES = 64 * 1024;

/** Command tags whose bytes are remembered; nearly all are `SELECT 1` and `INSERT 0 1`. */
export const COMMAND_TAGS_CACHED_MAX = 256;

/** From accept to the end of authentication. PostgreSQL's authentication_timeout. */
export const AUTHENTICATION_MS_MAX = 60_000;

/** How long a node that is taken out of the members is still connected, so that it can fetch the block that says so. */
export const PEER_FAREWELL_MS = 10_000;

/** How long a change of the rules may take from its approvals to its epoch: some terms may have to change for it. */
export const RULES_CHANGE_MS_MAX = 30_000;

/** How long a closed connection may take to fetch its last message before it is cut. */
export const LINGER_MS_MAX = 2_000;

/** Idle time after which the kernel begins to ask whether the client is still there. */
export const KEEPALIVE_IDLE_MS = 60_000;

/**
 * Sockets held above the limit of connections: they are told 53300, or bring a CancelRequest, which must
 * work when the node is full. Above this one they are cut.
 */
export const CONNECTIONS_ABOVE_LIMIT_MAX = 64;

/** Open files for all else: a node at rest has some 60, and each of READERS_PARKED_MAX processes has some pipes. */
export const FILES_BESIDE_CONNECTIONS = 192;

// ── Founding (server/founding/) ──────────────────────────────────────────────────────────────────

/** Nodes of a cluster that is made on one machine: each wants close to a gigabyte of memory. */
export const LOCAL_NODES_MAX = 16;

// ── Sessions (server/session/) ───────────────────────────────────────────────────────────────────

/** Plans kept for all sessions together; one costs some kilobytes. */
export const PLANS_MAX = 2_000;

/** Characters of a statement text that is worth keeping a plan for. */
export const PLAN_TEXT_CHARACTERS_MAX = 20_000;

/** Named statements, and portals, of one session. */
export const STATEMENTS_PER_SESSION_MAX = 5_000;
export const PORTALS_PER_SESSION_MAX = 1_000;

/** Bytes of the rows of a cursor WITH HOLD or SCROLL, which are all held. */
export const CURSOR_BYTES_MAX = 64 * 1024 * 1024;

/** Bytes of the rows of a SELECT that writes in WITH, which are all held until it has done so. */
export const WITH_BYTES_MAX = 64 * 1024 * 1024;

/** Uncommitted rows of a table that the main thread lays over its own connection; more go to a reader. */
export const INLINE_OVERLAY_ROWS_MAX = 200;

/** Rows changed by one UPDATE or DELETE: they are held in memory as images. */
export const IMAGE_ROWS_MAX = 1_000_000;

/** Times an autocommit statement is run again by the node itself after 40001. */
export const RETRIES_MAX = 20;

/** Bytes of encoded operations above which a transaction is stored in chunks before it is ordered. */
export const CHUNK_BYTES = 512 * 1024;

/**
 * Rows that COPY adds to what an open transaction sees: each is looked up in the table's unique indexes while
 * everybody waits. More go ahead to the ledger and are seen after COMMIT.
 */
export const COPY_OVERLAY_ROWS_MAX = 5_000;

/** Rows of a COPY held as values before they go ahead in a chunk. */
export const COPY_ROWS_HELD_MAX = 20_000;

/** Time a catalog query may take when no statement_timeout is set, in milliseconds. */
export const CATALOG_QUERY_MS_MAX = 60_000;

/** Locks on unique keys and referenced rows that one transaction takes; rows beyond are checked at COMMIT. */
export const KEY_LOCKS_MAX = 10_000;

// ── Alarms (server/alarms.ts) ────────────────────────────────────────────────────────────────────

/** Alarms kept for ledger.alarms: with the longest messages a few megabytes. All are in the log. */
export const ALARMS_KEPT_MAX = 1_000;

/** Characters of one alarm's message. */
export const ALARM_MESSAGE_CHARACTERS_MAX = 2_000;

// ── Readers (server/readers/) ────────────────────────────────────────────────────────────────────

/** Bytes that a suspended portal reads ahead before its reader process is parked; a process costs far more. */
export const PORTAL_AHEAD_BYTES_MAX = 4 * 1024 * 1024;

/** Bytes that one may hold when no more processes can be parked, and all of the node together. */
export const PORTAL_HELD_BYTES_MAX = 32 * 1024 * 1024;
export const PORTALS_HELD_BYTES_MAX = 256 * 1024 * 1024;

/** Reader processes that wait for the clients of suspended portals; each costs some 100 MB of memory. */
export const READERS_PARKED_MAX = 16;

/** Time that a reader gets to finish a batch nobody wants any more, before it is killed. */
export const READER_CLOSE_MS_MAX = 1_000;

/** Time between two looks at the memory of readers at work; at 1 GB a second this is how much they overdraw. */
export const READER_MEMORY_CHECK_MS = 100;

/** Rows that a schema change in a transaction block looks at at once; a larger table is checked at COMMIT. */
export const BLOCK_CHECK_ROWS_MAX = 100_000;

// ── The peer network (server/peers/) ─────────────────────────────────────────────────────────────

/** Bytes of a frame with its header: what a message that is on its way may delay a vote by. */
export const PEER_FRAME_BYTES_MAX = 64 * 1024;

/** Bytes of a message of each class. A vote can hold a new term's reports, a block its body and certificate. */
export const PEER_VOTE_BYTES_MAX = 1024 * 1024;
export const PEER_BLOCK_BYTES_MAX = 2 * 1024 * 1024;
export const PEER_SYNC_BYTES_MAX = 2 * 1024 * 1024;
export const PEER_REQUEST_BYTES_MAX = 64 * 1024;

/** Bytes of an answer: the largest version of a row (64 MiB) and what goes with it. */
export const PEER_ANSWER_BYTES_MAX = 66 * 1024 * 1024;

/** Bytes of the address of a node as text, `host:port`. A name in DNS has at most 253. */
export const PEER_ADDRESS_BYTES_MAX = 261;

/** Bytes of a signed announcement of an address: keys, signature, address and heads. */
export const PEER_ANNOUNCEMENT_BYTES_MAX = 512;

/** Bytes that wait for one peer in each class. What happens above is said in server/peers/outbox.ts. */
export const PEER_VOTE_QUEUE_BYTES_MAX = 2 * PEER_VOTE_BYTES_MAX;
export const PEER_BLOCK_QUEUE_BYTES_MAX = 8 * 1024 * 1024;
export const PEER_SYNC_QUEUE_BYTES_MAX = 4 * 1024 * 1024;

/** What a message in a queue costs besides its bytes; so that empty ones are bounded too. */
export const PEER_QUEUED_MESSAGE_BYTES = 128;

/**
 * Bytes other than votes that a peer has not yet said it has. The kernel may buffer megabytes for a slow link, and a
 * vote stands behind all of it: at 10 Mbit/s this much takes 0.8 s. At 100 ms it still lets 10 MB/s through.
 */
export const PEER_WINDOW_BYTES = 1024 * 1024;

/** Bytes after which a peer is told that we have them; less than the window less a frame, or both would wait. */
export const PEER_CREDIT_BYTES = 128 * 1024;

/** Bytes that the socket may hold beyond the kernel before votes wait in their queue, where old ones are dropped. */
export const PEER_SOCKET_BYTES_MAX = PEER_FRAME_BYTES_MAX;

/** Requests to one peer that wait for their answers; answers may each be as large as one may be. */
export const PEER_REQUESTS_MAX = 8;

/** Requests of one peer that are worked on at once, and that wait; those that it has given up count until answered. */
export const PEER_REQUESTS_SERVED_MAX = 4;
export const PEER_REQUESTS_WAITING_MAX = 32;

/** From accept to proof; of a node that dials, until TLS stands, and from there to the proof. */
export const PEER_HANDSHAKE_MS_MAX = 10_000;

/** Connections that have not proved a key yet; above it the oldest goes, since an honest one needs a moment only. */
export const PEER_STRANGERS_MAX = 64;

/** Time between pings, and pings after which a peer that was not heard of is taken for dead. */
export const PEER_PING_MS = 2_000;
export const PEER_SILENT_PINGS_MAX = 5;

/** First and longest wait before a peer is dialled again. */
export const PEER_REDIAL_MS_MIN = 100;
export const PEER_REDIAL_MS_MAX = 5_000;

/** How long a closed connection may take to fetch the reason before it is cut. */
export const PEER_LINGER_MS_MAX = 2_000;

/** News of addresses taken from one connection in a span of time; a member could flood all others otherwise. */
export const PEER_ANNOUNCEMENTS_MAX = 600;
export const PEER_ANNOUNCEMENTS_MS = 60_000;

/** Time after which one peer, by chance, is told all addresses again: it may not have known the members before. */
export const PEER_GOSSIP_MS = 30_000;

/** Lines in the log about connections that were refused, in each span of time. */
export const PEER_REFUSALS_LOGGED_MAX = 10;
export const PEER_REFUSALS_LOGGED_MS = 60_000;

// ── Chunks of large transactions in a cluster (server/chunks/) ───────────────────────────────────

/** How long a node keeps a chunk after it was last asked to hold it; how often it is asked, and how often it looks. */
export const CHUNK_LEASE_MS = 60_000;
export const CHUNK_RENEW_MS = 15_000;
export const CHUNK_SWEEP_MS = 5_000;

/**
 * Bytes of chunks that no block names yet, which one node may make another hold, and which its sessions may have: so
 * much disk a liar can take from each node for a while, and so large transactions of a cluster can be.
 */
export const CHUNKS_OF_NODE_BYTES_MAX = 4 * 1024 * 1024 * 1024;

/** What a chunk costs besides its bytes, so that tiny ones are bounded too. */
export const CHUNK_COST_BYTES = 1024;

/** Bytes of memory for chunks that come in parts; those of confirmed blocks, CHUNK_FETCHES_MAX of them, beside that. */
export const CHUNKS_ASSEMBLED_BYTES_MAX = 256 * 1024 * 1024;

/** Chunks that are fetched at once for one node that names them. */
export const CHUNK_FETCHES_MAX = 4;

/** Chunks that one member is asked to hold at once. */
export const CHUNKS_OFFERED_AT_ONCE = 8;

/** What one part of a chunk may take to come, and a member to hold what it was asked to; then it is asked again. */
export const CHUNK_PART_MS_MAX = 10_000;
export const CHUNK_HOLD_MS_MAX = 20_000;

/** Between two attempts to get a chunk. */
export const CHUNK_RETRY_MS = 250;

/** What a session waits for as many members as must vote to have one chunk. */
export const CHUNK_SPREAD_MS_MAX = 60_000;

// ── Re-reading and repair (server/repair.ts) ─────────────────────────────────────────────────────

/** Damaged places of one look that each raise an alarm; the others are counted in one more. */
export const DAMAGE_ALARMS_MAX = 50;

/** Looks and repairs right after one another; what is still damaged then is tried again at the next look. */
export const REPAIR_ROUNDS_MAX = 10;

/** A peer answers a question for repair in so long: it may read through a large table. */
export const REPAIR_TIMEOUT_MS = 30_000;

/** Files of evidence that are kept, and bytes of one value in them. */
export const EVIDENCE_FILES_MAX = 1_000;
export const EVIDENCE_FIELD_BYTES_MAX = 2 * 1024 * 1024;
