-- Purpose: train a network put together from layers: a small U-Net whose skip connections pass through gates.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- Minutes: 3 on the phantom, on two cores. The short epochs are for the phantom: leave `iterations` out for real data.
-- last line: own network: mean foreground Dice 0\.[5-9].*
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()
local layer = lunette.layer

-- A map of one channel between 0 and 1 says how much of each voxel passes.
local function gate() return layer.conv{ channels=1, kernel=1 } .. layer.activation{ kind="sigmoid" } end
local function stage(channels, stride)
  return layer.block{ channels=channels, stride=stride } .. layer.block{ channels=channels }
end
-- From a stage down to the deepest one and back; every stage but the deepest has logits of its own.
local function unet(channels, strides, i)
  local here = stage(channels[i], strides[i])
  if i == #channels then return here end
  local below = unet(channels, strides, i + 1) .. layer.upsample{ channels=channels[i], stride=strides[i + 1] }
  return here .. layer.concat{ below, layer.identity{} * gate() } .. stage(channels[i], 1) .. layer.head{}
end

local trainer = lunette.trainer{
  name = "OwnNetwork", epochs = 5, iterations = 15, validation_iterations = 3,
  network = function(ctx, default)
    local strides = default().arch_kwargs.strides      -- as the plan has them, for the patch's extents
    local channels = {}
    for i = 1, math.min(#strides, 3) do channels[i] = 16 * 2 ^ (i - 1) // 1 end
    return unet(channels, strides, 1)
  end,
  observe = { epoch_end = function(s) print(("epoch %d: loss %.3f"):format(s.epoch + 1, s.train_loss)) end },
}
local run = lunette.train{ plan=lunette.plan(ds), configuration="3d_fullres", fold=0, trainer=trainer }
print(("own network: mean foreground Dice %.3f"):format(run:validate().foreground_mean.Dice))
