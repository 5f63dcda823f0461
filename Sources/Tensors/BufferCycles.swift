// Large buffers of a sequence that repeats, such as a training step: recorded once, then laid out for the whole of it.

/// Where every buffer of a sequence lies.
struct BufferPlan {
  struct Entry {
    var size: Int
    /// `nil` for a buffer that outlived its sequence and is no part of the plan.
    var offset: Int?
  }
  private(set) var entries: [Entry]
  /// What the plan takes.
  private(set) var byteCount = 0

  /// The largest buffers first, each as low as those already placed allow that live at the same time.
  init(_ record: BufferRecord) {
    entries = record.buffers.map { Entry(size: $0.size, offset: nil) }
    let order = record.buffers.indices.filter { record.buffers[$0].end != nil }.sorted {
      let (a, b) = (record.buffers[$0], record.buffers[$1])
      return a.size != b.size ? a.size > b.size : a.start < b.start
    }
    var placed: [Int] = []
    for i in order {
      let buffer = record.buffers[i]
      let neighbours = placed.filter { record.buffers[$0].overlaps(buffer) }
        .compactMap { j in entries[j].offset.map { (start: $0, end: $0 + entries[j].size) } }
        .sorted { $0.start < $1.start }
      entries[i].offset = Self.lowestBestFit(buffer.size, among: neighbours)
      placed.append(i)
      byteCount = max(byteCount, (entries[i].offset ?? 0) + buffer.size)
    }
  }

  private static func lowestBestFit(_ size: Int, among taken: [(start: Int, end: Int)]) -> Int {
    var top = 0
    var best: (offset: Int, room: Int)?
    for interval in taken {
      let room = interval.start - top
      if room >= size, best.map({ room < $0.room }) ?? true { best = (top, room) }
      top = max(top, interval.end)
    }
    return best?.offset ?? top
  }
}

/// The buffers of a sequence, with the moments at which they came and went.
struct BufferRecord {
  struct Buffer {
    var size: Int
    var start: Int
    /// `nil` while it is in use.
    var end: Int?
    func overlaps(_ other: Buffer) -> Bool {
      start < (other.end ?? .max) && other.start < (end ?? .max)
    }
  }
  private(set) var buffers: [Buffer] = []
  private var live: [UInt: Int] = [:]
  private var clock = 0

  mutating func took(_ pointer: UnsafeMutableRawPointer, _ size: Int) {
    live[UInt(bitPattern: pointer)] = buffers.count
    buffers.append(Buffer(size: size, start: clock, end: nil))
    clock += 1
  }

  mutating func gave(_ pointer: UnsafeMutableRawPointer) {
    guard let i = live.removeValue(forKey: UInt(bitPattern: pointer)) else { return }
    buffers[i].end = clock
    clock += 1
  }
}

/// The stretch of memory that plans share, one sequence at a time.
struct PlannedRegion {
  let space = AddressSpace(atLeast: 0)
  /// Bytes from the start that may be in memory.
  private(set) var resident = 0
  private var live: [Int: Int] = [:]

  /// A buffer at its place, unless one from before still lies there.
  mutating func take(_ offset: Int, _ size: Int) -> UnsafeMutableRawPointer? {
    guard offset + size <= space.capacity, live.allSatisfy({ $0 >= offset + size || $0 + $1 <= offset })
    else { return nil }
    live[offset] = size
    resident = max(resident, offset + size)
    return space.base + offset
  }

  mutating func give(_ pointer: UnsafeMutableRawPointer) { live[pointer - space.base] = nil }

  /// Gives the memory back while nothing of it is in use.
  mutating func release(isVirtual: Bool) {
    guard live.isEmpty, resident > 0 else { return }
    if !isVirtual { space.release(0, resident) }
    resident = 0
  }
}

/// The plans of a pool and the sequence that runs.
struct BufferCycles {
  /// A sequence that differs so often is no repetition.
  private static let patience = 3
  private(set) var plans: [String: BufferPlan] = [:]
  private var failures: [String: Int] = [:]
  var region: PlannedRegion?
  private var kind: String?
  private var record: BufferRecord?
  private var position = 0
  private var isBroken = false

  var isRecording: Bool { record != nil }

  /// Whether a sequence begins; one within another belongs to it.
  mutating func begin(_ kind: String, isVirtual: Bool) -> Bool {
    guard self.kind == nil else { return false }
    self.kind = kind
    (position, isBroken) = (0, false)
    if plans[kind] == nil, failures[kind, default: 0] < Self.patience {
      record = BufferRecord()
      region?.release(isVirtual: isVirtual)
    }
    return true
  }

  /// Whether a recording has become a plan.
  mutating func end() -> Bool {
    guard let kind else { return false }
    defer { (self.kind, record) = (nil, nil) }
    if let record {
      plans[kind] = BufferPlan(record)
      if region == nil { region = PlannedRegion() }
      return true
    }
    if isBroken {
      plans[kind] = nil
      failures[kind, default: 0] += 1
    }
    return false
  }

  /// The planned place of the next buffer; `nil` where there is none.
  mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
    guard let kind, let plan = plans[kind], record == nil, !isBroken else { return nil }
    guard position < plan.entries.count, plan.entries[position].size == size else {
      isBroken = true
      return nil
    }
    defer { position += 1 }
    guard let offset = plan.entries[position].offset else { return nil }
    return region?.take(offset, size)
  }

  mutating func took(_ pointer: UnsafeMutableRawPointer, _ size: Int) { record?.took(pointer, size) }

  /// Whether the buffer was a planned one.
  mutating func give(_ pointer: UnsafeMutableRawPointer) -> Bool {
    if region?.space.owns(pointer) == true {
      region?.give(pointer)
      return true
    }
    record?.gave(pointer)
    return false
  }
}
