-- Purpose: train with a loss written in Lua: Tversky's overlap beside cross-entropy, differentiated by the engine.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- Minutes: 3 on the phantom, on two cores. The short epochs are for the phantom: leave `iterations` out for real data.
-- last line: own loss: mean foreground Dice 0\.[5-9].*
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local alpha, beta = 0.3, 0.7       -- the weights of what is predicted too much, and too little
local function tversky(output, target)
  local p, y = output:softmax(), target:one_hot(output.shape[2])
  local space = {}
  for axis = 3, #output.shape do space[#space + 1] = axis end
  local tp = (p * y):sum(space)
  local fp = (p * (1 - y)):sum(space)
  local fn = ((1 - p) * y):sum(space)
  local ratio = (2 * tp + 1e-5) / (2 * tp + 2 * alpha * fp + 2 * beta * fn + 1e-5)
  return -ratio:slice{ axis=2, first=2 }:mean()      -- without background
end

-- The same as the built-in one, in value and gradient.
local logits = lunette.tensor.normal({ 2, 3, 4, 5, 6 }, 1):requires_grad()
local labels = lunette.tensor.normal({ 2, 1, 4, 5, 6 }, 2):gt(0)
local mine = lunette.loss.custom(tversky)(logits, labels)
local theirs = lunette.loss.tversky{ alpha=alpha, beta=beta }(logits, labels)
print(("own %.6f, built in %.6f"):format(mine:item(), theirs:item()))
assert(math.abs(mine:item() - theirs:item()) < 1e-6)

local run = lunette.train{ plan=lunette.plan(ds), configuration="3d_fullres", fold=0, trainer=lunette.trainer{
  name = "OwnLoss", epochs = 5, iterations = 15, validation_iterations = 3,
  loss = lunette.loss.cross_entropy{} + tversky,
  observe = { epoch_end = function(s) print(("epoch %d: loss %.3f"):format(s.epoch + 1, s.train_loss)) end },
} }
print(("own loss: mean foreground Dice %.3f"):format(run:validate().foreground_mean.Dice))
