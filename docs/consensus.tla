------------------------------ MODULE consensus ------------------------------
(* How a cluster agrees on one chain of blocks: consensus/core, in TLA+.      *)
(* docs/consensus-model.md says how to check it and what came out.            *)
(*                                                                            *)
(* Modelled: acknowledgements and commits of honest members, the certificates *)
(* that they and the liars can make, confirmation in one round trip (raft)    *)
(* and in two (bft, openings), reports with tails, select() with exclusion of *)
(* a leader proven to lie, openings checked by every member, modes.           *)
(*                                                                            *)
(* The network is a growing set of votes and reports: a member may act on any *)
(* part of it, at any time, which is loss, delay, reordering and duplication. *)
(* A crash that keeps the disk is a member that does nothing for a while.     *)
(*                                                                            *)
(* Liars are omnipotent within their keys. Their votes are not in `acks` and  *)
(* `commits`: every count adds all of them, for everything. In each quorum of *)
(* reports they say whatever could pass the checks. A lying leader proposes   *)
(* any block at any time and opens its term with several quorums of reports.  *)
(* What an honest leader does a lying one can do too: with a liar leading     *)
(* every term, all assignments of leaders are covered.                        *)
(*                                                                            *)
(* Left out: epochs and barriers, changes of members, timers and wishes (any  *)
(* member may enter the next term at any time: more than they allow), lost    *)
(* disks, catch-up, execution and results, validity (every block is valid),   *)
(* progress. The window is MaxHeight. What one honest member has confirmed    *)
(* does not restrain it: more than the code allows.                           *)
(*                                                                            *)
(* Checked with n = 4, f = 1, two siblings at a place, votes in two terms and *)
(* openings of a third: raft mode to height 2 (42 884 states, 184 s), bft and *)
(* both modes to height 1 (5 798 and 4 383), every interleaving of two terms  *)
(* to height 1 (10 901); bft to height 2 in part only (215 952, not all).     *)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
  Honest, Liars,  \* members; the liars are as many as tolerated, at most one is a leader
  LyingTerms,     \* terms led by a liar; one honest member leads the others
  Variants,       \* blocks that a leader can make at one place
  MaxTerm, MaxHeight,
  Modes,          \* that a term after one in raft mode can have
  FirstMode,      \* of term 0
  Broken          \* the rule that is switched off, or "nothing"

VARIABLES
  term,     \* of each honest member: nothing is signed for earlier ones
  highest,  \* of each honest member: its highest certificate
  acks,     \* of honest members
  commits,  \* of honest members
  reports   \* of honest members

vars == <<term, highest, acks, commits, reports>>

RULES == {"exclusion", "tails", "keep", "order", "check", "fast", "open", "chain", "stop", "late"}
ASSUME Broken \in RULES \union {"nothing"}
ASSUME Liars # {} /\ Honest \cap Liars = {} /\ Modes \subseteq {"raft", "bft"}

Has(rule) == Broken # rule

Members == Honest \union Liars
Terms == 0..MaxTerm
Leader(t) == IF t \in LyingTerms THEN CHOOSE l \in Liars : TRUE ELSE CHOOSE h \in Honest : TRUE

(* ledger/quorum.ts *)
Max(a, b) == IF a > b THEN a ELSE b
N == Cardinality(Members)
F == Cardinality(Liars)
R == N - F
Q == Max(R, (N + 3 * F) \div 2)
Keep == Max(1, Q + R - N - F) + (IF Has("keep") THEN 0 ELSE 1)
KeepForked == Q + R + 1 - F - N

------------------------------------------------------------------------------
(* A block is its chain: of each block the term it was proposed in, and which *)
(* of the blocks that could have been proposed there it is.                   *)

Genesis == <<>>
Extends(b, a) == Len(b) >= Len(a) /\ SubSeq(b, 1, Len(a)) = a
Above(b, a) == Len(b) > Len(a) /\ Extends(b, a)
Comparable(a, b) == Extends(a, b) \/ Extends(b, a)
Parent(b) == SubSeq(b, 1, Len(b) - 1)
TermOf(b) == b[Len(b)][1]
IsOf(b, t) == b # Genesis /\ TermOf(b) = t

(* An honest leader makes one block at a place. *)
Choices(t) == IF Leader(t) \in Liars THEN Variants ELSE {CHOOSE v \in Variants : TRUE}

RECURSIVE Grow(_, _, _)
Grow(b, t, left) ==
  IF left = 0 THEN {b}
  ELSE {b} \union UNION {Grow(Append(b, <<t, v>>), t, left - 1) : v \in Choices(t)}

(* Whatever can be proposed in a term above a block. *)
On(b, t) == Grow(b, t, MaxHeight - Len(b)) \ {b}

------------------------------------------------------------------------------
(* Votes and certificates. *)

Ballot(t, m, b) == [term |-> t, mode |-> m, block |-> b]
Vote(n, c) == [member |-> n, term |-> c.term, mode |-> c.mode, block |-> c.block]
BallotOf(v) == Ballot(v.term, v.mode, v.block)
Voters(votes, c) == {v.member : v \in {x \in votes : BallotOf(x) = c}}
AcksOf(n, t) == {a \in acks : a.member = n /\ a.term = t}
IsOpening(c) == ~IsOf(c.block, c.term)

(* What so many votes can be shown for, those of all liars among them. *)
Reach(votes, needed) ==
  {c \in {BallotOf(v) : v \in votes} : Cardinality(Voters(votes, c)) + F >= needed}

Anchor == Ballot(0, FirstMode, Genesis)
Certificates == Reach(acks, R) \union {Anchor}

(* Confirmed, whether or not anybody has seen it. *)
Confirmed ==
  {c \in Reach(acks, Q) : c.mode = "raft" /\ (IsOpening(c) => ~Has("fast"))}
    \union Reach(commits, R)

Higher(a, b) ==
  IF Has("order")
  THEN a.term > b.term \/ (a.term = b.term /\ Len(a.block) > Len(b.block))
  ELSE Len(a.block) > Len(b.block)

------------------------------------------------------------------------------
(* Reports, and what follows from a quorum of them: select.ts. *)

Report(n, t, c, tail) == [member |-> n, term |-> t, highest |-> c, tail |-> tail]

(* The end of what a member has acknowledged above its highest certificate, in *)
(* that one's term in raft mode; the certified block where that is nothing.    *)
Longest(blocks) == CHOOSE b \in blocks : \A a \in blocks : Len(a) <= Len(b)
TailOf(n, c) ==
  IF c.mode # "raft" THEN c.block
  ELSE Longest({c.block} \union {a.block : a \in {x \in AcksOf(n, c.term) :
         x.mode = "raft" /\ IsOf(x.block, x.term) /\ Above(x.block, c.block)}})

(* Whatever openReport() lets pass: a real certificate, blocks that were signed. *)
Signed(c, b) == Leader(c.term) \in Liars \/ \E a \in acks : BallotOf(a) = Ballot(c.term, c.mode, b)
Lies(n, t) ==
  UNION {{Report(n, t, c, tail) : tail \in {c.block} \union
      (IF c.mode = "raft" THEN {b \in On(c.block, c.term) : Signed(c, b)} ELSE {})} :
    c \in {x \in Certificates : x.term < t}}

(* Of each member the reports that it has sent on entering a term. *)
Sent(t) == TLCEval([n \in Members |->
  IF n \in Liars THEN Lies(n, t) ELSE {p \in reports : p.member = n /\ p.term = t}])

RECURSIVE OneOfEach(_, _)
OneOfEach(members, pool) ==
  IF members = {} THEN {{}}
  ELSE LET n == CHOOSE x \in members : TRUE
       IN {V \union {p} : V \in OneOfEach(members \ {n}, pool), p \in pool[n]}

(* A lie with a lower certificate than the others have does what one with theirs does. *)
WithLies(V, liars, pool) ==
  LET fit == [n \in liars |-> {p \in pool[n] : \A o \in V : ~Higher(o.highest, p.highest)}]
  IN {V \union W : W \in OneOfEach(liars, TLCEval(fit))}
Quorums(pool) ==
  UNION {UNION {WithLies(V, S \cap Liars, pool) : V \in OneOfEach(S \ Liars, pool)} :
    S \in {x \in SUBSET Members : Cardinality(x) = R}}

(* The end of the chain of which every block is in enough tails. *)
RECURSIVE LongestKept(_, _, _)
LongestKept(b, tails, needed) ==
  LET Count(a) == Cardinality({p \in tails : Extends(p.tail, a)})
      next == {SubSeq(p.tail, 1, Len(b) + 1) : p \in {x \in tails : Above(x.tail, b)}}
      kept == {a \in next : Count(a) >= needed}
      most == {a \in kept : \A o \in kept : Count(o) <= Count(a)}
  IN IF most = {} THEN {b} ELSE UNION {LongestKept(a, tails, needed) : a \in most}

(* A set: empty if nothing follows. While no rule is broken it holds one block; *)
(* its modes are those that the wishes of members could make.                   *)
After(H, V) ==
  LET tails == {p \in V : p.highest.term = H.term /\ Extends(p.tail, H.block)}
      forked == \E p, o \in tails : ~Comparable(p.tail, o.tail)
  IN IF H.mode = "bft" \/ ~Has("tails") THEN {H.block}
     ELSE IF ~forked \/ ~Has("exclusion") THEN LongestKept(H.block, tails, Keep)
     ELSE IF \E p \in V : p.member = Leader(H.term) THEN {}
     ELSE LongestKept(H.block, tails, KeepForked)

Select(V) ==
  LET tops == {p.highest : p \in {x \in V : \A y \in V : ~Higher(y.highest, x.highest)}}
  IN UNION {{[mode |-> m, block |-> b] :
       m \in (IF H.mode = "bft" THEN {"bft"} ELSE Modes), b \in After(H, V)} : H \in tops}

(* What a member takes over that checks the message of the leader, or does not. *)
Openings(t, pools) ==
  IF Has("check") THEN UNION {UNION {Select(V) : V \in Quorums(pool)} : pool \in pools}
  ELSE {[mode |-> m, block |-> b] :
         m \in Modes, b \in {Genesis} \union {a.block : a \in {x \in acks : x.term < t}}}

------------------------------------------------------------------------------
(* What an honest member does. *)

(* A message of an honest leader that has been sent: it votes for it itself first. *)
FollowsLeader(n, c) ==
  LET l == Leader(c.term) IN l \in Liars \/ l = n \/ Vote(l, c) \in acks

(* enterTerm: any time is a good time. Terms can be skipped: a report need not arrive. *)
Enter(n) ==
  /\ term[n] < MaxTerm
  /\ term' = [term EXCEPT ![n] = @ + 1]
  /\ reports' = reports \union {Report(n, term[n] + 1, highest[n], TailOf(n, highest[n]))}
  /\ UNCHANGED <<highest, acks, commits>>

(* onCertificate, raise, commit. Of an earlier term it makes for another report. *)
Learn(n, c) ==
  /\ Higher(c, highest[n])
  /\ c.term <= term[n]
  /\ highest' = [highest EXCEPT ![n] = c]
  /\ LET commit == /\ c.term = term[n] \/ ~Has("late")
                   /\ c.block # Genesis
                   /\ c.mode = "bft" \/ IsOpening(c)
     IN commits' = IF commit THEN commits \union {Vote(n, c)} ELSE commits
  /\ reports' = IF c.term = term[n] THEN reports
                ELSE reports \union {Report(n, term[n], c, TailOf(n, c))}
  /\ UNCHANGED <<term, acks>>

(* acknowledgeOpening, of s \in Openings *)
Open(n, t, s) ==
  LET c == Ballot(t, s.mode, s.block) IN
  /\ term[n] = t
  /\ highest[n].term < t
  /\ AcksOf(n, t) = {}
  /\ FollowsLeader(n, c)
  /\ acks' = acks \union {Vote(n, c)}
  /\ UNCHANGED <<term, highest, commits, reports>>

(* mayAcknowledge: the lowest first, one chain, on the certificate that opened the term. *)
Acknowledge(n, b) ==
  LET t == TermOf(b)
      c == Ballot(t, highest[n].mode, b)
  IN
  /\ IF Has("stop") THEN t = term[n] ELSE t <= term[n]
  /\ Has("open") => highest[n].term = t
  /\ Comparable(b, highest[n].block)
  /\ IsOf(Parent(b), t) => Vote(n, Ballot(t, c.mode, Parent(b))) \in acks
  /\ Has("chain") => \A a \in AcksOf(n, t) : Above(b, a.block)
  /\ FollowsLeader(n, c)
  /\ Vote(n, c) \notin acks
  /\ acks' = acks \union {Vote(n, c)}
  /\ UNCHANGED <<term, highest, commits, reports>>

Proposals(n) ==
  LET root == highest[n].block
      t == IF Has("open") THEN highest[n].term ELSE term[n]
  IN {b \in On(root, t) \union {SubSeq(root, 1, k) : k \in 1..Len(root)} : IsOf(b, t)}

Init ==
  /\ term = [n \in Honest |-> 0]
  /\ highest = [n \in Honest |-> Anchor]
  /\ acks = {}
  /\ commits = {}
  /\ reports = {}

Next ==
  \/ \E n \in Honest : Enter(n)
  \/ LET known == Certificates IN \E n \in Honest, c \in known : Learn(n, c)
  \/ \E t \in Terms \ {0} :
       /\ \E n \in Honest : term[n] = t /\ highest[n].term < t /\ AcksOf(n, t) = {}
       /\ LET possible == Openings(t, {Sent(t)}) IN \E s \in possible, n \in Honest : Open(n, t, s)
  \/ \E n \in Honest : \E b \in Proposals(n) : Acknowledge(n, b)

Spec == Init /\ [][Next]_vars

------------------------------------------------------------------------------
(* The same, term by term: far fewer states, and no violation less.             *)
(*                                                                              *)
(* Votes, certificates and reports only grow and only enable, so a violation    *)
(* stays one, and a step may be moved before any that it does not depend on.    *)
(*  - No vote in a term depends on one of a later term: those of a term come    *)
(*    before everything of the next. Who has not entered by then is silent.     *)
(*  - Openings depend on earlier terms alone: they come first in their term.    *)
(*  - In raft mode a certificate of a block of the term itself changes nothing  *)
(*    but reports. It is learned after the term's end, or rather: a member may   *)
(*    report any certificate that it could have learned by then, so `reports`    *)
(*    is not needed. That it forgets again what it has reported is more than     *)
(*    can happen.                                                                *)
(*  - In a quorum of reports each could as well name the highest certificate of  *)
(*    them all: its tail above that would be the same.                           *)
(*  - Of the term after the last the possible openings are enough (NextOpening): *)
(*    what happens within a term is seen in the terms before.                    *)

Round == term[CHOOSE n \in Honest : TRUE]
Now(votes) == {v \in votes : v.term = Round}

(* For each certificate the reports that name it, nothing being voted for in earlier terms. *)
Possible(t) == {TLCEval([n \in Members |->
    IF n \in Liars THEN {p \in Lies(n, t) : p.highest = c}
    ELSE IF Higher(highest[n], c) THEN {} ELSE {Report(n, t, c, TailOf(n, c))}]) :
  c \in {x \in Certificates : x.term < t}}

EnterAll ==
  /\ Round < MaxTerm
  /\ term' = [n \in Honest |-> Round + 1]
  /\ UNCHANGED <<highest, acks, commits, reports>>

OpenFirst ==
  /\ Round > 0
  /\ \A a \in Now(acks) : IsOpening(a)
  /\ \A n \in Honest : highest[n].term < Round
  /\ \E n \in Honest : AcksOf(n, Round) = {}
  /\ LET possible == Openings(Round, Possible(Round))
     IN \E s \in possible, n \in Honest : Open(n, Round, s)

Agree ==
  \/ \E c \in {x \in Certificates : x.term = Round /\ (x.mode = "bft" \/ IsOpening(x))} :
       \E n \in Honest : Learn(n, c)
  \/ \E n \in Honest : \E b \in Proposals(n) : Acknowledge(n, b)

TermByTerm == Init /\ [][EnterAll \/ OpenFirst \/ Agree]_vars

------------------------------------------------------------------------------
(* What must hold. *)

Chain(b) == \A i \in DOMAIN b : b[i] \in Terms \X Variants /\ (i > 1 => b[i - 1][1] <= b[i][1])
IsBallot(c) ==
  c.term \in Terms /\ c.mode \in {"raft", "bft"} /\ Len(c.block) <= MaxHeight /\ Chain(c.block)
Types ==
  /\ term \in [Honest -> Terms]
  /\ \A n \in Honest : IsBallot(highest[n]) /\ highest[n].term <= term[n]
  /\ \A v \in acks \union commits : v.member \in Honest /\ IsBallot(BallotOf(v))
  /\ \A p \in reports : /\ p.member \in Honest /\ IsBallot(p.highest) /\ p.highest.term < p.term
                        /\ Extends(p.tail, p.highest.block)

(* No two confirmed blocks contradict one another. *)
Agreement == LET C == Confirmed IN \A c, d \in C : Comparable(c.block, d.block)

(* L1: the certificates of a term are on one chain, and of one mode. *)
OneChain ==
  LET C == Certificates
  IN \A c, d \in C : c.term = d.term => Comparable(c.block, d.block) /\ c.mode = d.mode

(* L2: whatever is confirmed is an ancestor of all that honest members vote for later ... *)
Persistence ==
  LET C == Confirmed IN \A c \in C, a \in acks : a.term > c.term => Extends(a.block, c.block)

(* ... and, if all enter the next term now, of whatever that can be opened with.            *)
NextOpening ==
  LET C == Confirmed IN
  C = {} \/ \A s \in Openings(Round + 1, Possible(Round + 1)), c \in C : Extends(s.block, c.block)

------------------------------------------------------------------------------
(* What must be reachable: each of these has to be violated, or the model says  *)
(* less than it seems to.                                                       *)

Fast == {c \in Confirmed : c.mode = "raft" /\ ~IsOpening(c)}
Slow == Reach(commits, R)
NeverTwoTerms == ~\E c \in Fast, d \in Fast : c.term # d.term
NeverSlow == ~\E c \in Slow : c.mode = "bft" /\ ~IsOpening(c)
NeverOpened == ~\E c \in Slow : IsOpening(c)
(* A fast block, a sibling that an honest member has acknowledged, and a later term. *)
NeverSurvived ==
  ~\E c \in Fast, a, o \in acks :
    /\ a.term = c.term /\ ~Comparable(a.block, c.block) /\ o.term > c.term

Symmetry == {p @@ q : p \in Permutations(Honest), q \in Permutations(Variants)}
==============================================================================
