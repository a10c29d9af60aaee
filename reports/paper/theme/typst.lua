-- What pandoc's Typst writer drops or spells in an old way: alt texts of figures and formulas,
-- badges, renamed symbols. Runs after citeproc, for Typst only.

if not FORMAT:match 'typst' then return {} end

local MATH = 'typst-citations'
-- Symbols that typst has renamed since pandoc's tables were made; a list, for its order.
local RENAMED = {
  {'%f[%w]sect%f[%W]', 'inter'},
  {'%.circle%f[^%w.]', '.o'},
  {'%f[%w]bar%.v%.double%f[%W]', 'bar.v.double'},
}

local function quoted(text)
  return '"' .. text:gsub('\\', '\\\\'):gsub('"', '\\"') .. '"'
end

local function written(blocks)
  return (pandoc.write(pandoc.Pandoc(blocks), MATH, {wrap_text = 'none'}):gsub('%s+$', ''))
end

-- TeX as a reader would say it aloud, roughly: commands by name, no braces.
local function spoken(tex)
  local text = tex:gsub('\\operatorname', ''):gsub('\\math%l+', ''):gsub('\\[lrLR]eft', '')
  text = text:gsub('\\[lr]Vert', ' norm '):gsub('\\frac%s*(%b{})%s*(%b{})', '%1 over %2')
  text = text:gsub('\\', ' '):gsub('[{}]', ''):gsub('%s+', ' ')
  return (text:gsub('^%s+', ''):gsub('%s+$', ''))
end

local function formula(math, alt, number)
  local body = written {pandoc.Plain {math}}
  for _, pair in ipairs(RENAMED) do body = body:gsub(pair[1], pair[2]) end
  local block = math.mathtype == 'DisplayMath'
  return string.format(
    '#math.equation(block: %s, %salt: %s, %s);',
    tostring(block),
    number and string.format('numbering: _ => "(%s)", ', number) or '',
    quoted(alt or spoken(math.text)),
    body)
end

local function set_math(math)
  return pandoc.RawInline('typst', formula(math))
end

local function set_equation(div)
  if not div.classes:includes 'equation' then return nil end
  local out
  div:walk {
    Math = function(math)
      out = formula(math, div.attributes.alt, div.attributes.number)
    end
  }
  out = out:gsub(';$', '') .. ' <' .. div.identifier .. '>'
  return pandoc.RawBlock('typst', out), false
end

local function set_span(span)
  if span.classes:includes 'verdict' then
    return pandoc.RawInline('typst', '#verdict(' .. quoted(pandoc.utils.stringify(span)) .. ');')
  elseif span.classes:includes 'statistic' then
    return pandoc.RawInline('typst', '#statistic[' .. written {pandoc.Plain(span.content)} .. '];')
  end
end

local function set_figure(figure)
  local image
  figure:walk {Image = function(found) image = found end}
  if not image then return nil end
  local width = image.attributes.width or '100%'
  return pandoc.RawBlock('typst', string.format(
    '#figure(image(%s, width: %s, alt: %s), kind: image, placement: auto, caption: [%s]) <%s>',
    quoted(image.src), width, quoted(image.attributes.alt or pandoc.utils.stringify(image.caption)),
    written(figure.caption.long), figure.identifier))
end

-- Long words in tables may break: behind punctuation, and digests anywhere, so that none leaves
-- its column.
local function break_long_words(str)
  if utf8.len(str.text) <= 14 then return nil end
  local parts, run = {}, 0
  for at, code in utf8.codes(str.text) do
    local char = utf8.char(code)
    local stop = char:match '[=,_.:/()-]' and not str.text:match('^%.%d', at)
    run = stop and 0 or run + 1
    parts[#parts + 1] = char
    if stop or run >= 24 and run % 8 == 0 then parts[#parts + 1] = '\u{200b}' end
  end
  return pandoc.Str(table.concat(parts))
end

local function set_table(found)
  return found:walk {Str = break_long_words}
end

local PRINTS = {'dense', 'small'}

local function print_of(div)
  for _, kind in ipairs(PRINTS) do
    if div.classes:includes(kind) then return kind end
  end
end

-- Tables in small print stay in their place.
local function stay(div)
  if not print_of(div) then return nil end
  return div:walk {
    Div = function(found)
      if found.identifier:match '^tbl:' then found.classes:insert 'stays' end
      return found
    end
  }
end

-- A short table floats, as figures do; a long one breaks between its rows.
local function set_table_div(div)
  if not div.identifier:match '^tbl:' then return nil end
  local rows = 0
  div:walk {
    Table = function(found)
      for _, body in ipairs(found.bodies) do rows = rows + #body.body end
    end
  }
  div.attributes['typst:breakable'] = rows > 8 and 'true' or 'false'
  div.attributes['typst:above'] = '1.2em'
  div.attributes['typst:below'] = '1.2em'
  if rows > 8 or div.classes:includes 'stays' then return div end
  div.attributes['typst:width'] = '100%'
  return {
    pandoc.RawBlock('typst', '#place(auto, float: true, clearance: 1.2em)['), div,
    pandoc.RawBlock('typst', ']')
  }
end

-- The address of a work as one writes it in print; it stays a link.
local function short_address(link)
  local text = pandoc.utils.stringify(link.content)
  text = text:gsub('^https://doi%.org/', 'doi:'):gsub('^https://arxiv%.org/abs/', 'arXiv:')
  link.content = {pandoc.Str(text)}
  return link
end

local function set_references(div)
  if div.identifier ~= 'refs' then return nil end
  div = div:walk {Link = short_address}
  return {pandoc.RawBlock('typst', '#references['), div, pandoc.RawBlock('typst', ']')}
end

-- Small print, in two columns or over the whole width: functions of the template.
local function set_print(div)
  local kind = print_of(div)
  if not kind then return nil end
  local start, stop = pandoc.RawBlock('typst', '#' .. kind .. '['), pandoc.RawBlock('typst', ']')
  return pandoc.Blocks {start} .. div.content .. {stop}
end

return {
  {Div = stay},
  {traverse = 'topdown', Div = set_equation},
  {Math = set_math, Span = set_span, Table = set_table},
  {Figure = set_figure},
  {Div = function(div) return set_table_div(div) or set_references(div) or set_print(div) end},
}
