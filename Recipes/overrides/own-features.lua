-- Purpose: a slimmer network, with feature maps of one's own per stage; patch and batch size use the memory it frees.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- last line: own features: 16, 24, 36, [0-9, ]+ in place of 32, 64, 128.*
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local slim = lunette.plan{
  dataset = ds, name = "nnUNetPlans_slim",
  rules = {
    features = function(ctx, default)
      local counts = {}
      for stage = 1, #ctx.topology.strides do counts[stage] = math.floor(16 * 1.5 ^ (stage - 1)) end
      return counts
    end,
  },
}

print(slim:why("3d_fullres.features_per_stage"))
local function show(p)
  return table.concat(p.configurations["3d_fullres"].architecture.arch_kwargs.features_per_stage, ", ")
end
print("own features: " .. show(slim) .. " in place of " .. show(lunette.plan(ds)))
