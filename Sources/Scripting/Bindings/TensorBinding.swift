// `lunette.tensor`: arrays of numbers in scripts, with arithmetic that gradients go back through. The functions of tensors
// are in TensorFunctionsBinding, what makes them in TensorMakingBinding.

import Archives
import Backends
import LuaHost
import Networks
import Reporting
import Tensors

/// An array of numbers in scripts.
///
/// It is plain numbers, or a learnable tensor that gathers gradients, or the result of an operation whose tape leads back
/// to such tensors.
final class TensorObject: ScriptObject {
  private enum Content {
    case host(NDArray<Float>)
    case device(Tensor)
    case leaf(Parameter)
    case result(Variable, Tape)
  }
  private var content: Content
  /// Bytes beside the tensor's own that it keeps alive, for Lua's garbage collection.
  private let extraByteCount: Int

  init(_ array: NDArray<Float>) {
    content = .host(array)
    extraByteCount = 0
  }

  /// Values of the engine, which nobody else writes into.
  init(_ tensor: Tensor) {
    content = .device(tensor)
    extraByteCount = 0
  }

  /// A network's parameter: the same numbers, not a copy.
  init(_ parameter: Parameter) {
    content = .leaf(parameter)
    extraByteCount = 0
  }

  /// A plain result of operations on a tape.
  init(_ variable: Variable, on tape: Tape, extraByteCount: Int = 0) {
    content = variable.isWatched ? .result(variable, tape) : .device(variable.value)
    self.extraByteCount = extraByteCount
  }

  var shape: [Int] {
    switch content {
    case .host(let array): array.shape
    case .device(let tensor): tensor.shape
    case .leaf(let parameter): parameter.value.shape
    case .result(let variable, _): variable.value.shape
    }
  }

  var count: Int { shape.reduce(1, *) }

  /// The numbers, as a copy where they are not on the host already.
  var array: NDArray<Float> {
    switch content {
    case .host(let array): array
    case .device(let tensor): tensor.hostArray
    case .leaf(let parameter): parameter.value.hostArray
    case .result(let variable, _): variable.value.hostArray
    }
  }

  /// The learnable tensor behind it, if it is one.
  var parameter: Parameter? { if case .leaf(let parameter) = content { parameter } else { nil } }

  /// The tape that leads back from it, until that has been used.
  var tape: Tape? {
    guard case .result(_, let tape) = content, !tape.current.isSpent else { return nil }
    return tape.current
  }

  private var isTracked: Bool { parameter != nil || tape != nil }

  /// The numbers where `backend` computes.
  func tensor(on backend: any Backend) -> Tensor {
    switch content {
    case .host(let array):
      let tensor = Tensor(array, pool: backend.pool)
      content = .device(tensor)
      return tensor
    case .device(let tensor): return tensor
    case .leaf(let parameter): return parameter.value
    case .result(let variable, _): return variable.value
    }
  }

  /// The tensor as an operand on a tape.
  func variable(on tape: Tape) -> Variable {
    switch content {
    case .leaf(let parameter): tape.watch(parameter)
    case .result(let variable, _) where self.tape === tape: variable
    default: Variable(tensor(on: tape.backend), needsGradient: false)
    }
  }

  /// An operation on tensors, noted on the tape that leads back from them.
  static func apply(
    _ operands: [TensorObject], in state: LuaState, _ body: (Tape, [Variable]) throws -> Variable
  ) throws -> TensorObject {
    let tapes = operands.compactMap(\.tape)
    let isRecording = operands.contains(where: \.isTracked)
    let tape =
      try tapes.first
      ?? Tape(
        backend: ScriptRegistry.of(state).backend(), isRecording: isRecording)
    for other in tapes { tape.absorb(other.current) }
    let result = try body(tape, operands.map { $0.variable(on: tape) })
    return TensorObject(result, on: tape)
  }

  // MARK: - What Lua sees

  var luaForeignByteCount: Int { 4 * count + extraByteCount }

  var luaDescription: String {
    let array = array
    if array.shape.isEmpty { return "\(array.elements[0])" }
    let shape = "tensor [\(array.shape.map(String.init).joined(separator: ", "))]"
    if array.count <= 8 {
      return shape + " { " + array.elements.map { "\($0)" }.joined(separator: ", ") + " }"
    }
    let (low, high) = array.elements.reduce((Float.infinity, -Float.infinity)) {
      (min($0.0, $1), max($0.1, $1))
    }
    let mean = array.elements.reduce(0.0) { $0 + Double($1) } / Double(array.count)
    return shape + " from \(low) to \(high), mean \(Float(mean))"
  }

  func luaLength() throws -> LuaValue { .integer(shape.first ?? 1) }

  func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue? {
    if operation == .negate {
      return .object(
        try Self.apply([self], in: state) { $0.map($1[0], .affine(scale: -1, offset: 0)) })
    }
    if [.less, .lessOrEqual].contains(operation) {
      guard let a = try Self.number(left), let b = try Self.number(right) else { return nil }
      return .boolean(operation == .less ? a < b : a <= b)
    }
    let functions: [LuaOperator: PairFunction] = [
      .add: .add, .subtract: .subtract, .multiply: .multiply, .divide: .divide, .power: .power,
    ]
    guard let function = functions[operation] else { return nil }
    return .object(try Self.combine(left, right, function, in: state))
  }

  /// A function of two operands, of which one may be a number.
  static func combine(
    _ left: LuaValue, _ right: LuaValue, _ function: PairFunction, in state: LuaState
  ) throws -> TensorObject {
    if let a = left.object as? TensorObject, let b = right.number.map({ Float($0) }),
      let simple = function.withSecond(b)
    {
      return try apply([a], in: state) { $0.map($1[0], simple) }
    }
    if let a = left.number.map({ Float($0) }), let b = right.object as? TensorObject {
      if function == .divide {
        return try apply([b], in: state) {
          $0.map($0.map($1[0], .power(-1)), .affine(scale: a, offset: 0))
        }
      }
      if let simple = function.withFirst(a) { return try apply([b], in: state) { $0.map($1[0], simple) } }
    }
    let (a, b) = (try operand(left, right), try operand(right, left))
    guard broadcastShape(a.shape, b.shape) != nil else {
      throw Diagnostic(
        "the shapes of two tensors do not fit", expected: "\(a.shape), or 1 along axes that are repeated",
        found: "\(b.shape)")
    }
    return try apply([a, b], in: state) { $0.combine($1[0], $1[1], function) }
  }

  private static func operand(_ value: LuaValue, _ other: LuaValue) throws -> TensorObject {
    if let tensor = value.object as? TensorObject { return tensor }
    guard let number = value.number else {
      throw Diagnostic(
        "a tensor combines with tensors and numbers", found: "\(other.typeName) and \(value.typeName)")
    }
    return TensorObject(NDArray(shape: [], elements: [Float(number)]))
  }

  /// A number, or the number of a tensor that holds one; nil for other values.
  private static func number(_ value: LuaValue) throws -> Double? {
    if let tensor = value.object as? TensorObject { return try tensor.item() }
    return value.number
  }

  func item() throws -> Double {
    guard count == 1 else {
      throw Diagnostic("the tensor holds more than one number", found: "\(shape)")
    }
    return Double(array.elements[0])
  }

  // MARK: - Gradients

  /// Makes it learnable: from now on it gathers gradients.
  func requireGradient(on backend: any Backend) throws {
    if parameter != nil { return }
    guard tape == nil else {
      throw Diagnostic(
        "the result of an operation is not learnable",
        remedy: "call detach() first, or require the gradient of what it was made of")
    }
    // A copy, so that steps of an optimizer change no other tensor.
    content = .leaf(Parameter(name: "tensor", value: Tensor(array, pool: backend.pool)))
  }

  /// Sends the gradient 1 back.
  func backward() throws {
    guard case .result(let variable, let noted) = content else {
      throw Diagnostic(
        "nothing leads back from this tensor", expected: "the result of operations on learnable tensors",
        remedy: "call requires_grad() on a tensor, or leave gradients=false out of network:forward")
    }
    let tape = noted.current
    guard !tape.isSpent else {
      throw Diagnostic(
        "a forward pass goes backwards once", remedy: "compute the loss again, from network:forward on")
    }
    guard count == 1 else {
      throw Diagnostic(
        "gradients go back from one number", expected: "a tensor that holds one", found: "\(shape)",
        remedy: "end the loss in :sum() or :mean()")
    }
    try tape.backward(from: variable)
  }

  /// Replaces the numbers of a learnable or plain tensor.
  func assign(_ other: TensorObject) throws {
    guard other.shape == shape else {
      throw Diagnostic("the shapes of two tensors differ", expected: "\(shape)", found: "\(other.shape)")
    }
    switch content {
    case .leaf(let parameter): parameter.assign(other.array)
    case .host, .device: content = .host(other.array)
    case .result: throw Diagnostic("the result of an operation cannot be changed")
    }
  }
}

extension PairFunction {
  /// The function of the first operand alone, when the second is a number.
  fileprivate func withSecond(_ b: Float) -> ElementFunction? {
    switch self {
    case .add: .affine(scale: 1, offset: b)
    case .subtract: .affine(scale: 1, offset: -b)
    case .multiply: .affine(scale: b, offset: 0)
    case .divide: .affine(scale: 1 / b, offset: 0)
    case .power: b == 0.5 ? .squareRoot : .power(b)
    default: nil
    }
  }

  /// The function of the second operand alone, when the first is a number.
  fileprivate func withFirst(_ a: Float) -> ElementFunction? {
    switch self {
    case .add: .affine(scale: 1, offset: a)
    case .subtract: .affine(scale: -1, offset: a)
    case .multiply: .affine(scale: a, offset: 0)
    default: nil
    }
  }
}

extension TensorObject {
  static let schema = ObjectSchema(
    "tensor", "An array of numbers; operations on it can be differentiated.",
    example:
      "local w = lunette.tensor{ {1, 2}, {3, 4} }:requires_grad()\nlocal y = (w * w):sum()\ny:backward()\n"
      + "print(y:item(), w.grad:at{ 2, 2 })",
    properties: [
      .field("shape", .list(.integer), "the extents, slowest axis first") { (it: TensorObject) in
        .array(it.shape)
      },
      .field("count", .integer, "how many numbers it holds") { (it: TensorObject) in .integer(it.count) },
      .field("grad", .object("tensor"), "the gradient gathered so far; nil before any arrived") {
        (it: TensorObject) in
        it.parameter?.gradient.map { .object(TensorObject($0.hostArray)) } ?? .nil
      },
    ], methods: gradientMethods + valueMethods + functionMethods + reductionMethods + shapeMethods)

  private static let gradientMethods: [Binding] = [
    .method(
      FunctionSchema(
        "tensor:requires_grad", "Makes the tensor learnable, so that backward fills its grad.",
        returns: "the tensor itself", example: "local w = lunette.tensor{ 1, 2 }:requires_grad()")
    ) { (it: TensorObject, arguments) in
      try it.requireGradient(on: ScriptRegistry.of(arguments.state).backend())
      return .object(it)
    },
    .method(
      FunctionSchema(
        "tensor:backward", "Sends gradients back to every learnable tensor that it was computed from.",
        details: "The tensor holds one number. Each computation can go backwards once.", returns: "nothing",
        example: "local w = lunette.tensor{ 3 }:requires_grad()\n(w * w):sum():backward()\nprint(w.grad)")
    ) { (it: TensorObject, _) in
      try it.backward()
      return .nil
    },
    .method(
      FunctionSchema(
        "tensor:zero_grad", "Forgets the gradient gathered so far.", returns: "nothing",
        example: "local w = lunette.tensor{ 3 }:requires_grad()\nw:zero_grad()")
    ) { (it: TensorObject, _) in
      it.parameter?.gradient = nil
      return .nil
    },
    .method(
      FunctionSchema(
        "tensor:detach", "The same numbers, with no way back.", returns: "a tensor",
        example: "local w = lunette.tensor{ 1, 2 }:requires_grad()\nlocal constant = (2 * w):detach()")
    ) { (it: TensorObject, _) in .object(TensorObject(it.array)) },
  ]

  private static let valueMethods: [Binding] = [
    .method(
      FunctionSchema(
        "tensor:item", "The number of a tensor that holds one.", returns: "a number",
        example: "print(lunette.tensor{ 5 }:item())")
    ) { (it: TensorObject, _) in .number(try it.item()) },
    .method(
      FunctionSchema(
        "tensor:at", "One number by its position, counted from 1 along each axis.",
        parameters: [.required("index", .list(.integer), "one position per axis")], returns: "a number",
        example: "print(lunette.tensor{ {1, 2}, {3, 4} }:at{ 2, 1 })")
    ) { (it: TensorObject, arguments) in
      let index = try arguments.integers("index").map { $0 - 1 }
      guard index.count == it.shape.count, zip(index, it.shape).allSatisfy({ $0 >= 0 && $0 < $1 }) else {
        throw Diagnostic("the position is outside the tensor", expected: "one within \(it.shape)")
      }
      let array = it.array
      return .number(Double(array.elements[array.offset(of: index)]))
    },
    .method(
      FunctionSchema(
        "tensor:table", "The numbers as nested tables.", returns: "a table",
        example: "local t = lunette.tensor{ {1, 2}, {3, 4} }:table()\nprint(t[2][1])")
    ) { (it: TensorObject, _) in nested(it.array.elements[...], it.shape[...]) },
    .method(
      FunctionSchema(
        "tensor:save", "Writes the tensor to a .npy file.",
        parameters: [.required("path", .path, "the file")], returns: "the path",
        example: "lunette.tensor{ 1, 2 }:save(\"out.npy\")")
    ) { (it: TensorObject, arguments) in
      try writeNPY(it.array, to: fileURL(arguments.string("path")))
      return arguments["path"]
    },
    .method(
      FunctionSchema(
        "tensor:assign", "Replaces the numbers, also those of a network's parameter.",
        parameters: [.required("values", .object("tensor"), "a tensor of the same shape")],
        returns: "the tensor itself",
        example: "local t = lunette.tensor{ 1, 2 }:assign(lunette.tensor{ 3, 4 })")
    ) { (it: TensorObject, arguments) in
      try it.assign(arguments.object("values"))
      return .object(it)
    },
  ]

  private static func nested(_ elements: ArraySlice<Float>, _ shape: ArraySlice<Int>) -> LuaValue {
    guard let extent = shape.first else { return elements.first.map { .number(Double($0)) } ?? .nil }
    let inner = shape.dropFirst()
    let step = inner.reduce(1, *)
    return .array(
      (0..<extent).map { i in
        let start = elements.startIndex + i * step
        return nested(elements[start..<start + step], inner)
      })
  }
}
