"""Words and whole names of fields in call records, and what they speak of. Data alone.

Counted in public application models and read from the documentation of telephony services. Words are without accents
and in small letters; English first, then German, French, Spanish, Italian, Portuguese and Dutch.
What belongs elsewhere: taking names apart (`recognition/names.py`), known labels (`documents/labels.py`).
"""

from __future__ import annotations

from enum import StrEnum

FIELD_NAMES: dict[str, tuple[str, ...]] = {
    "start_time": (
        *("start_time", "startTime", "started_at", "startedAt", "call_start_time", "callStartTime"),
        *("call_started_at", "callStartedAt", "call_startedAt", "callStart", "call_start", "timeStart", "date_start"),
        *("startDateTime", "start_timestamp", "startTimestamp", "start_stamp", "start_uepoch", "start_epoch"),
        *("start_time_unix_secs", "connectionStartTime", "Received DtTm", "conversationStart", "InitiationTimestamp"),
        *("initiation_time", "originate_time", "dateTimeOrigination", "calldate", "call_date_time", "called_at"),
        *("calledAt", "dialedAt", "dialed_at", "hs_timestamp", "requestedAt", "requested_at", "start", "started"),
    ),
    "end_time": (
        *("end_time", "endTime", "ended_at", "endedAt", "call_end_time", "callEndTime"),
        *("call_ended_at", "callEndedAt", "call_endedAt", "callEnd", "call_end", "timeEnd", "date_end"),
        *("endDateTime", "end_timestamp", "endTimestamp", "end_stamp", "end_uepoch", "end_epoch"),
        *("conversationEnd", "DisconnectTimestamp", "dateTimeDisconnect", "finished_at", "finishedAt", "ends_at"),
        *("completedAt", "completed_at", "hangup_time", "hangupTime", "end", "ended", "Available DtTm"),
    ),
    "duration": (
        *("duration_sec", "durationSec", "duration_seconds", "durationSeconds", "duration_s", "duration"),
        *("call_duration", "callDuration", "call_duration_sec", "callDurationSec", "total_duration", "totalDuration"),
        *("CallDurationInSeconds", "Call_Duration_in_seconds", "call_duration_seconds", "call_duration_secs"),
        *("call_length", "callLength", "call_length_seconds", "duration_ms", "durationMs"),
        *("durationMillis", "duration_millis", "duration_msec", "hs_call_duration", "call_sec"),
    ),
    "call_type": (
        *("call_type", "callType", "type", "direction", "call_direction", "callDirection", "originatingDirection"),
        *("hs_call_direction", "InitiationMethod", "callMode", "call_mode", "Call Type Group"),
    ),
    "status": (
        *("status", "call_status", "callStatus", "CallDisposition", "disposition", "disposition_name", "outcome"),
        *("call_outcome", "callOutcome", "call_result", "callResult", "result", "state", "call_state", "callState"),
        *("hs_call_status", "call_verdict", "lastCallStatus", "last_state", "hangup_cause", "DisconnectReason"),
        *("disconnect_reason", "disconnectionReason", "Call Final Disposition", "destCause_value", "origCause_value"),
    ),
}
"""For each role, the names of its field that leave no doubt, in the order in which they are preferred."""

WEAK_NAMES = ("dateTime", "datetime", "timestamp", "@timestamp", "time", "date")
"""Names of the start time that anything may have, in the order in which they are preferred."""

RECORD_NAMES = ("created_at", "createdAt", "date_created")
"""Names that speak of the record's own life: a start time only where the data say so, or where nothing else is."""

NAMED_UNITS = {"hscallduration": "ms", "startuepoch": "us", "enduepoch": "us"}
"""Units that services give to fields whose names do not say them; by folded name."""

WRAPPERS = frozenset(
    {
        *("after", "attributes", "body", "call", "callback", "calldata", "calldetails", "callinfo", "callview", "cdr"),
        *("content", "conversation", "current", "data", "detail", "details", "doc", "document", "event", "eventdata"),
        *("fields", "fulldocument", "info", "item", "message", "meta", "metadata", "object", "params", "payload"),
        *("properties", "raw", "rawpayload", "record", "resource", "result", "session", "stats", "summary"),
        *("timestamps", "times", "timing", "value", "variables"),
    }
)
"""Nested documents that commonly hold the call itself; compared by `labels.folded`. Others are looked into too."""


class Word(StrEnum):
    """What a word of a field's name speaks of."""

    START = "start"
    MAYBE_START = "maybe start"
    """A moment before the conversation that some services call the start: ringing, received, requested."""
    ANSWER = "answer"
    END = "end"
    MADE = "made"
    """The record was made."""
    CHANGED = "changed"
    """The record was changed, sent or stored."""
    TIME = "time"
    DURATION = "duration"
    TOTAL = "total"
    TALK = "talk"
    PART = "part"
    """A part of a call: ringing, waiting, wrapping up."""
    CALL = "call"
    TYPE = "type"
    DIRECTION = "direction"
    STATUS = "status"
    OUTCOME = "outcome"
    CAUSE = "cause"
    CODE = "code"
    FLAG = "flag"
    OTHER = "other"
    """Something that is not the call: a customer, a task, a recording."""
    PLANNED = "planned"
    """A moment that was planned, or a limit: a schedule, an expiry, the longest call allowed."""
    PERSONAL = "personal"
    """A party or an identifier, whose digits are no time."""
    FILLER = "filler"
    """Says nothing."""


_WORDS: dict[Word, str] = {
    Word.START: (
        "start starts started starting begin begins began begun beginning initiate initiated initiation originate "
        "originated origination commence commenced dial dialed dialled placed opened launched beginn begonnen "
        "anfang gestartet angerufen debut commencement inicio iniciada iniciado inicia comienzo inizio iniziata "
        "iniziato avvio aanvang gestart"
    ),
    Word.MAYBE_START: (
        "ring ringing rang received receive requested request offered arrived arrival sent called entered entry queued "
        "invited occurred happened alarm reported registered logged eingang empfangen recibida recue ricevuta "
        "recebida ontvangen"
    ),
    Word.ANSWER: (
        "answer answered connect connected join joined accept accepted pickup pickedup picked bridged bridge "
        "established beantwortet angenommen contestada contestado atendida atendido decroche repondu risposta "
        "risposto respondida opgenomen beantwoord"
    ),
    Word.END: (
        "end ends ended ending finish finished stop stopped hangup hungup hang hung disconnect disconnected "
        "disconnection terminate terminated termination complete completed completion close closed clear cleared "
        "release released bye done drop dropped ende beendet fin fini finie terminee termine raccroche fine "
        "finita terminata terminato fim termino terminada terminado finalizada finalizado finalizacion encerrada "
        "encerrado colgada einde beeindigd afgelopen"
    ),
    Word.MADE: (
        "created create creation made insert inserted added add saved recorded creado creada cree creee creato "
        "creata criado criada erstellt angelegt aangemaakt"
    ),
    Word.CHANGED: (
        "updated update modified modify modification changed change edited deleted delete archived exported "
        "export imported import synced sync synchronized ingested ingest indexed persisted stored uploaded upload "
        "fetched loaded processed process published pushed emitted delivered revised written touched actualizado "
        "actualizada modificado modificada modifie modificato geandert aktualisiert atualizado gewijzigd "
        "bijgewerkt importiert"
    ),
    Word.TIME: (
        "time times date datetime timestamp stamp ts tstamp dt dttm dtm tm at on when day epoch uepoch unix utc "
        "gmt iso local moment clock fecha hora datum uhrzeit zeit zeitpunkt zeitstempel am um heure horodatage le "
        "ora tijd tijdstip quando en"
    ),
    Word.DURATION: (
        "duration dur durations length len elapsed lasted dauer gesprachsdauer duree duracion durata duracao duur "
        "lengte"
    ),
    Word.TOTAL: "total overall full whole gesamt totale totaal",
    Word.TALK: (
        "talk talked talking speak speaking spoken conversation bill billed billable billing charged chargeable "
        "handle handled incall effective net live"
    ),
    Word.PART: (
        "ring ringing hold held wait waiting queue queued wrap wrapup acw aftercall ivr delay idle response "
        "travel silence mute muted setup pdd alerting park parked transfer consult preview pause paused interval "
        "timeout latency speed dialing dialling tta asa warteschlange klingel espera attente attesa wacht handling lag"
    ),
    Word.CALL: (
        "call calls phone phonecall telephone conversation conv session interaction cdr anruf ruf gesprach appel "
        "llamada chiamata chamada ligacao oproep gesprek incident meeting conference voice visit"
    ),
    Word.TYPE: (
        "type types typ tipo kind art sort soort category categorie categoria class classification mode method "
        "medium media channel modality nature"
    ),
    Word.DIRECTION: (
        "direction dir way richtung sens sentido direccion direzione direcao flow orientation bound traffic inbound "
        "outbound incoming outgoing"
    ),
    Word.STATUS: "status state statut estado etat stato zustand situacao",
    Word.OUTCOME: (
        "outcome result disposition dispo verdict resolution ergebnis resultado resultat esito uitkomst "
        "completion success successful missed voicemail answered connected"
    ),
    Word.CAUSE: "cause reason grund motif motivo causa raison razon oorzaak msg message text",
    Word.CODE: "code value",
    Word.FLAG: "is was has did",
    Word.OTHER: (
        "task lead deal opportunity customer client account user agent operator employee owner campaign order "
        "ticket case email mail sms payment invoice subscription recording recordings record voicemail transcript "
        "transcription analysis sentiment webhook delivery item items leg legs participant participants party "
        "device network country region city us address zip geo location company team department file image url "
        "member contact parent related object resource library page form server host org organization tenant "
        "internal subject initiator severity priority language lang carrier trunk route line mime content audio "
        "billing kunde agente cliente"
    ),
    Word.PLANNED: (
        "scheduled schedule planned plan due expires expire expiry expiration followup follow reminder next "
        "appointment target estimated eta deadline callback back birth birthday dob valid until promised retry "
        "renew renewal shift roster booking booked reservation max maximum maximal limit limits allowed allowance "
        "budget quota"
    ),
    Word.PERSONAL: (
        "id ids sid uuid guid uid by number numbers num no phone msisdn ani dnis cli cld did from to caller "
        "callee calling src dst source destination receiver extension ext pin key token hash zip postcode postal "
        "amount price cost rate fee size bytes count seq sequence index version port numero nummer rufnummer "
        "telefon"
    ),
    Word.FILLER: (
        "in of the per for and unique actual real last final initial current first stat stats name names label title "
        "description groupname de der des la las los el del die das qy qty val"
    ),
}

MEANINGS: dict[str, frozenset[Word]] = {}
"""For each known word what it can speak of."""
for _meaning, _text in _WORDS.items():
    for _word in _text.split():
        MEANINGS[_word] = MEANINGS.get(_word, frozenset()) | {_meaning}

UNITS = {
    "s": "s sec secs second seconds sek sekunde sekunden segundo segundos seconde secondes secondo secondi",
    "ms": "ms msec msecs milli millis millisec millisecs millisecond milliseconds",
    "us": "us usec usecs micro micros microsecond microseconds",
    "ns": "ns nsec nsecs nano nanos nanosecond nanoseconds",
    "min": "min mins minute minutes minuten minuto minutos minuti",
    "h": "h hr hrs hour hours stunde stunden horas heures ore",
}
"""For each unit of a duration the words that name it."""
UNIT_OF = {word: unit for unit, words in UNITS.items() for word in words.split()}
