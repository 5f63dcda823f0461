-- Purpose: override two of the planner's decisions, the target spacing and the patch, and see what that changes.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- Minutes: less than 1, nothing is trained.
-- last line: [0-9]+ values differ
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local default = lunette.plan(ds)
local mine = lunette.plan{
  dataset = ds, name = "nnUNetPlans_iso",
  rules = {
    -- The finest spacing in all three directions.
    target_spacing = function(ctx, default)
      local s = default()
      local finest = math.min(s[1], s[2], s[3])
      return { finest, finest, finest }
    end,
    -- At most 32 voxels along every axis; the planner keeps it divisible by what the network needs.
    patch_size = function(ctx, default)
      local patch = default()
      for axis = 1, #patch do patch[axis] = math.min(patch[axis], 32) end
      return patch
    end,
  },
}

for _, key in ipairs{ "spacing", "patch_size", "batch_size" } do
  local function show(plan)
    local value = plan.configurations["3d_fullres"][key]
    return type(value) == "table" and table.concat(value, " x ") or tostring(value)
  end
  print(("%-12s %-28s now %s"):format(key, show(default), show(mine)))
end
print(mine:why("3d_fullres.patch_size"))
print(mine:save())
print(#mine:diff(default) .. " values differ")
