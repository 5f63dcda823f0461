// Losses from scripts: every built-in one against the reference's numbers, and functions of tensors in their place.

import Archives
import LuaHost
import Networks
import Scripting
import Testing

/// The reference computes sums of a few hundred float32 numbers; seven digits were written down.
private let tolerance = 2e-6

@Suite("Loss binding", .serialized) struct LossBindingTests {
  private let session: Session

  /// Logits and labels as the script that made the numbers had them.
  init() throws {
    session = try Session(write: { _ in })
    _ = try session.state.run(
      """
      function filled(shape, rule)
        local count, list = 1, {}
        for _, extent in ipairs(shape) do count = count * extent end
        for i = 0, count - 1 do list[i + 1] = rule(i) end
        return lunette.tensor(list):reshape(shape)
      end
      function logits(shape) return filled(shape, function(i) return i * 37 % 101 / 25 - 2 end):requires_grad() end
      function labels(shape, count) return filled(shape, function(i) return i * 53 % 97 % count end) end
      shape = { 2, 4, 6, 5, 4 }
      -- Value, norm of the gradient, and its sum under uneven weights.
      function measure(loss, target, options)
        local x = logits(shape)
        local value = loss(x, target, options)
        value:backward()
        local weights = filled(shape, function(i) return i % 7 + 1 end)
        return { value:item(), (x.grad ^ 2):sum():item() ^ 0.5, (x.grad * weights):sum():item() }
      end
      L, L5 = labels({ 2, 1, 6, 5, 4 }, 4), labels({ 2, 1, 6, 5, 4 }, 5)
      R, R5 = labels({ 2, 4, 6, 5, 4 }, 2), labels({ 2, 5, 6, 5, 4 }, 2)
      loss = lunette.loss
      """, named: "=setup")
  }

  private func numbers(_ source: String) throws -> [Double] {
    try #require(session.state.run("return " + source, named: "=test").first?.table).array.compactMap(
      \.number)
  }

  private func failure(_ source: String) -> String? {
    do {
      _ = try session.state.run(source, named: "=test")
      return nil
    } catch { return (error as? LuaError)?.message }
  }

  /// Calls in Lua, and what nnunetv2 2.8.1 on torch 2.13 gave: value, gradient norm, weighted gradient sum.
  static let references: [(call: String, expected: [Double])] = [
    ("loss.dice{ batch=false }, L", [-0.25158927, 0.015500684, 0.015704129]),
    ("loss.dice{ batch=true }, L", [-0.25166693, 0.015502581, 0.016132303]),
    ("loss.dice{ batch=false, background=true }, L", [-0.25614718, 0.014065998, 0.020449646]),
    ("loss.dice{ batch=true, background=true }, L", [-0.25620782, 0.014066768, 0.020646226]),
    ("loss.dice{ batch=true, smoothing=0 }, L", [-0.25166687, 0.015502582, 0.016132275]),
    ("loss.cross_entropy{}, L", [1.4747615, 0.057007952, 0.089752346]),
    ("loss.cross_entropy{ label_smoothing=0.1 }, L", [1.4805655, 0.051591617, 0.079648063]),
    ("loss.top_k{ percent=10 }, L", [2.7350152, 0.22731398, -0.24582207]),
    ("loss.top_k{ percent=10, label_smoothing=0.1 }, L", [2.6616819, 0.21118041]),
    ("loss.focal{ gamma=2 }, L", [0.9025349, 0.06138762, 0.10136457]),
    ("loss.tversky{ alpha=0.3, beta=0.7, batch=false }, L", [-0.25039279, 0.015633629, 0.015487283]),
    ("loss.dice{ batch=true } + loss.cross_entropy{}, L", [1.2230946, 0.070698183, 0.10588476]),
    ("loss.dice{ batch=true } + loss.top_k{ percent=10 }, L", [2.4833481, 0.23021477, -0.22968981]),
    (
      "loss.dice{ batch=true } + loss.cross_entropy{}, L5, { ignore_label=4 }",
      [1.1872656, 0.078545199, -0.13629186]
    ),
    ("loss.dice{ batch=true } + loss.cross_entropy{}, R", [0.34593344, 0.023852477, -0.36868516]),
    ("loss.dice{ batch=true } + loss.cross_entropy{}, R5", [2.8485119, 0.1078441, -1.5108407]),
  ]

  @Test("Every built-in loss has the reference's value and gradient", arguments: references)
  func reference(_ call: String, _ expected: [Double]) throws {
    let found = try numbers("measure(\(call))")
    // Of equal voxels either may count, so that top-k with smoothing has no third number.
    #expect(found.count == 3)
    for (a, b) in zip(found, expected) {
      #expect(abs(a - b) < tolerance * max(1, abs(b)), "\(call): \(a), \(b)")
    }
  }

  @Test("Deep supervision weighs the resolutions and leaves out those of weight 0")
  func deepSupervision() throws {
    let found = try numbers(
      """
      (function()
        local heads = { logits(shape), logits{ 2, 4, 3, 5, 2 }, logits{ 2, 4, 3, 1, 2 } }
        local targets = { L, labels({ 2, 1, 3, 5, 2 }, 4), labels({ 2, 1, 3, 1, 2 }, 4) }
        local value = loss.deep_supervision(loss.dice{ batch=true } + loss.cross_entropy{}, { 2/3, 1/3, 0 })(heads, targets)
        value:backward()
        local function norm(t) return (t.grad ^ 2):sum():item() ^ 0.5 end
        return { value:item(), norm(heads[1]), norm(heads[2]), heads[3].grad and 1 or 0 }
      end)()
      """)
    for (a, b) in zip(found, [1.230605125, 0.047132112, 0.047342673, 0]) { #expect(abs(a - b) < tolerance) }
  }

  /// Tversky's index written out in Lua.
  private static let tversky = """
    function tversky(output, target)
      local p, y = output:softmax(), target:one_hot(output.shape[2])
      local tp = (p * y):sum{ 3, 4, 5 }
      local fp = (p * (1 - y)):sum{ 3, 4, 5 }
      local fn = ((1 - p) * y):sum{ 3, 4, 5 }
      local ratio = (2 * tp + 1e-5) / (2 * tp + 0.6 * fp + 1.4 * fn + 1e-5)
      return -ratio:slice{ axis=2, first=2 }:mean()
    end
    function entropy(output, target) return -output:log_softmax():gather(target):mean() end
    function norm_of_difference(a, b, target)
      local x, y = logits(shape), logits(shape)
      local u, v = a(x, target), b(y, target)
      u:backward()
      v:backward()
      return { math.abs(u:item() - v:item()), (x.grad - y.grad):abs():max():item(), y.grad:abs():max():item() }
    end
    """

  @Test("Losses written in Lua equal the built-in ones in value and gradient, alone and in sums")
  func written() throws {
    _ = try session.state.run(Self.tversky, named: "=In[1]")
    let pairs = [
      ("loss.custom(tversky)", "loss.tversky{ alpha=0.3, beta=0.7 }"),
      ("loss.custom(entropy)", "loss.cross_entropy{}"),
      ("loss.dice{} + 0.5 * loss.custom(entropy)", "loss.dice{} + 0.5 * loss.cross_entropy{}"),
      ("loss.custom(tversky) * 2 + entropy", "2 * loss.tversky{} + loss.cross_entropy{}"),
    ]
    for (own, builtIn) in pairs {
      let found = try numbers("norm_of_difference(\(own), \(builtIn), L)")
      #expect(found[0] < 1e-6, "\(own): the value differs by \(found[0])")
      #expect(
        found[1] < 1e-5 && found[2] > 1e-3, "\(own): the gradient differs by \(found[1]) of \(found[2])")
    }
  }

  @Test("What a loss function returns is checked")
  func refusals() {
    #expect(failure("loss.custom(function(o) return o end)(logits(shape), L)")?.contains(":sum()") == true)
    #expect(
      failure("loss.custom(function() return 3 end)(logits(shape), L)")?.contains("a loss function") == true)
    #expect(
      failure("loss.custom(function(o) return o:mean():detach() end)(logits(shape), L)")?.contains("way back")
        == true)
    #expect(failure("loss.top_k{}(logits(shape), R)")?.contains("labels only") == true)
    #expect(failure("loss.dice{}(logits(shape), L, { ignore=3 })")?.contains("ignore_label") == true)
    #expect(
      failure("loss.dice{}(logits(shape), labels({ 2, 2, 6, 5, 4 }, 2))")?.contains("does not fit") == true)
  }

  @Test("A run's identity follows the text of a loss function, its constants and what it closes over")
  func identity() throws {
    func identity(_ source: String) throws -> JSON {
      _ = session.execute("made = " + source)
      let object = try #require(session.state.global("made").object as? TrainerObject)
      return try object.identity(in: session.state)
    }
    _ = session.execute("w = lunette.tensor{ 1, 2 }")
    let plain = try identity("lunette.trainer{ loss=function(o, t) return (o * w):sum() end }")
    #expect(
      plain == (try identity("lunette.trainer{ loss=function(o, t)  return (o*w):sum() --[[same]] end }")))
    #expect(plain != (try identity("lunette.trainer{ loss=function(o, t) return (o * w):mean() end }")))
    _ = session.execute("w = lunette.tensor{ 1, 3 }")
    #expect(plain != (try identity("lunette.trainer{ loss=function(o, t) return (o * w):sum() end }")))
    let sum = try identity(
      "lunette.trainer{ loss=lunette.loss.dice{} + 0.5 * lunette.loss.custom(function(o, t) return o:sum() end) }"
    )
    #expect(
      sum
        != (try identity(
          "lunette.trainer{ loss=lunette.loss.dice{} + 0.6 * lunette.loss.custom(function(o, t) return o:sum() end) }"
        )))
  }
}
