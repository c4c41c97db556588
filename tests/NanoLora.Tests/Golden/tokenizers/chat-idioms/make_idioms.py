"""Writes cases.jsonl and golden.json: small chat templates and what Jinja makes of them, in the environment that transformers renders chat templates in.

    python3 make_idioms.py OUTDIR

needs jinja2. Each line: name, template, variables (JSON), and rendered or error. The clock stands at 2024-07-06 09:05:03.042.
"""
import datetime, json, os, sys
import jinja2, jinja2.ext, jinja2.sandbox

NOW = datetime.datetime(2024, 7, 6, 9, 5, 3, 42000)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_plain"), [], [], body).set_lineno(line)

    def _plain(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENV = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENV.filters["tojson"] = tojson
ENV.globals["raise_exception"] = raise_exception
ENV.globals["strftime_now"] = lambda f: NOW.strftime(f)

CASES = []


def case(group, template, **variables):
    CASES.append((group, template, variables))


def expressions(group, *all, **variables):
    for e in all:
        case(group, "{{ " + e + " }}", **variables)


TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city\nand more", "parameters": {"type": "object", "properties": {
    "city": {"type": "string", "description": "The city", "enum": ["Rom", "Köln"]}, "days": {"type": ["integer", "null"], "default": 1}}, "required": ["city"]}}}
CHAT = [{"role": "system", "content": "Be brief. "}, {"role": "user", "content": " What's up?\n"}, {"role": "assistant", "content": "<think>\nhm, é\n</think>\n\nNot much."},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "image"}, {"type": "text", "text": "now?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "abc123456", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2, "deep": {"a": [1, 2.5, None, True]}}}}]},
        {"role": "tool", "tool_call_id": "abc123456", "content": "{\"t\": 31.5}"}, {"role": "assistant", "content": "Warm."}]

# --- white space
for t in ("a\n{% if true %}\nb\n{% endif %}\nc\n", "a\n  {% if true %}  \n  b\n  {% endif %}\nc\n\n", "  {%- if true -%}  x  {%- endif -%}  y", "  {%+ if true %}\n x {% endif +%}\ny", "x  {# c #}\n  {# d #}\ny {#- e -#} z",
          "  {# only #}\n  {{ 1 }}\n  {{- 2 }}\n{{ 3 -}}\n 4", "a {{ '{{' }} b {% raw %} {{ x }} {% if %}\n{% endraw %}\nc", "{%- raw -%}  a {%- endraw -%}  b", "\n\n{% set x = 1 %}\n\n{{ x }}\n\n", "line\r\n{% if 1 %}\r\nx\r{% endif %}\r\ny\r\n",
          "{{ 1 }}\n", "{{ 1 }}\n\n", "\n", "", "a{% if 1 %}\n\n b{% endif %}", "\t {% set a = 2 %}\t\n\t{{ a }}", "{{\n1\n+\n2\n}}", "{%\nif 1\n%}x{%\nendif\n%}", "{% if 1 -%}\n\n  x\n\n  {%- endif %}\ny", "{#\nmany\nlines #}x", "{# {{ 1 }} {% if #}y",
          "{%if 1%}a{%else%}b{%endif%}", "{{1}}{{'a'}}", "a\n  {%- for i in [1,2] %}\n  {{ i }}\n  {%- endfor %}\n", "x {%- set a = 1 +%}\n y", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': {}}}}}", "{ { 1 } } {{ '}}' }} {% if '%}' %}x{% endif %}", "{{- -1 }} {{ -1 -}} {{+1}}"):
    case("white-space", t)

# --- names, scopes
for t in ("{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = x + i %}{{ x }};{% endfor %}{{ x }}", "{% if true %}{% set y = 5 %}{% endif %}{{ y }}", "{% for i in [1,2,3] %}{% if i == 2 %}{% set z = i %}{% endif %}[{{ z }}]{% endfor %}[{{ z }}]",
          "{% set ns = namespace(a=1, b='x') %}{% for i in range(4) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {{ ns.b }} {{ ns['a'] }} {{ ns.c is defined }} [{{ ns.c }}]", "{% set a, b = 1, [2] %}{{ a }}{{ b }}", "{% set (a, b) = (1, 2) %}{{ b }}",
          "{% set x %}a {{ 1 }} b{% endset %}[{{ x }}]", "{% set x | upper | trim %} abc {% endset %}[{{ x }}]", "{% with a=1, b=2 %}{{ a + b }}{% set c = 5 %}{% endwith %}[{{ a }}{{ c }}]", "{% set a = 1 %}{% with a = a + 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
          "{% filter upper | replace('A', 'b') %}a{% set q = 1 %}x{% endfilter %}{{ q }}", "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=3) }} {{ m(b=1, a=0) }} {{ m() }}", "{% macro m(x) %}{{ x }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
          "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1, y=2) }}", "{% macro m(x) %}<{{ caller(x, 2) }}>{% endmacro %}{% call(a, b) m(7) %}{{ a }}-{{ b }}{% endcall %}", "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in{% endcall %}",
          "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro m() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ m() }}", "{% macro m() %}{% set inner = 1 %}{{ inner }}{% endmacro %}{{ m() }}[{{ inner }}]",
          "{{ m is defined }}{% macro m() %}x{% endmacro %}{{ m is defined }} {{ m.name }} {{ m is callable }} {{ m }}", "{% for x in [1] %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% set f = 1 %}{% for f in [2] %}{{ f }}{% endfor %}{{ f }}", "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }} {{ ns }}",
          "{% set x = 1 %}{% set x.y = 2 %}", "{% set q.y = 2 %}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}", "{% set x = 1, 2 %}{{ x }}", "{% set a, b = 'xy' %}{{ b }}{{ a }}", "{% set a, b = [1] %}", "{% set a, b = [1, 2, 3] %}", "{% set a, b = 5 %}", "{% print 1, 'a' %}", "{% if false %}{{ nofilter | list }}{% endif %}x",
          "{% generation %}a{% set g = 1 %}{% endgeneration %}[{{ g }}]", "{% set range = 5 %}{{ range }}", "{{ undefined_function() }}", "{{ messages.foo.bar }}", "{% autoescape false %}{{ '<' }}{% endautoescape %}", "{{ loop }}", "{{ 1 }}"):
    case("scope", t, messages=[])

# --- loops
for t in ("{% for a in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}", "{% for a in [1,2,3] %}{{ loop.previtem }}<{{ a }}>{{ loop.nextitem }} {{ loop.previtem is defined }} {% endfor %}",
          "{% for a in [] %}x{% else %}none{% endfor %}", "{% for a in nothing %}x{% else %}none{% endfor %}", "{% for a in none %}x{% endfor %}", "{% for a in 5 %}x{% endfor %}", "{% for a, b in {'x': 1, 'y': 2}.items() %}{{ a }}={{ b }},{% endfor %}", "{% for k in {'x': 1, 'y': 2} %}{{ k }}{% endfor %}",
          "{% for i in range(10) if i is odd %}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "{% for i in range(6) if i % 2 == 0 %}{{ loop.length }}{{ loop.revindex }} {% endfor %}", "{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in range(5) %}{% if i == 3 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
          "{% for i in range(3) %}{% continue %}{% else %}else{% endfor %}", "{% for i in range(3) %}{% break %}{% else %}else{% endfor %}", "{% for i in range(3) %}{% if i == 2 %}{% continue %}{% endif %}x{% else %}else{% endfor %}", "{% for i in [1,2] %}{% for j in [3,4] %}{{ i }}{{ j }}{{ loop.index }}{% if j == 3 %}{% continue %}{% endif %};{% endfor %}{{ loop.index }} {% endfor %}",
          "{% for x in [[1,[2,[3]]],[4]] recursive %}{% if x is iterable %}({{ loop(x) }}{{ loop.depth }}){% else %}{{ x }}{% endif %}{% endfor %}", "{% for x in [1] %}{{ loop([2]) }}{% endfor %}", "{% for i in [1,1,2,2] %}{{ loop.changed(i) }}{{ loop.cycle('a','b') }} {% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
          "{% for a, b in [(1,)] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% set ns = namespace(f=false) %}{% for i in range(4) if not ns.f %}{{ i }}{% if i == 1 %}{% set ns.f = true %}{% endif %}{% endfor %}", "{% for m in messages[::-1] %}{{ m.role[0] }}{{ loop.index0 }}{% endfor %}", "{% for m in messages | reverse %}{{ m.role[0] }}{% endfor %}",
          "{% for i in range(2, 11, 3) %}{{ i }} {% endfor %}{{ range(5)[-1] }} {{ range(3) }} {{ range(1, 4) | list }} {{ range(5, 0, -2) | list }} {{ range(0) | list }} {{ range(3) | length }}", "{{ range(100001) }}", "{{ range(1, 2, 0) }}", "{% for i in range(3) recursive %}{{ loop.index }}{% endfor %}", "{% for x in {'b': 1, 'a': 2} | dictsort %}{{ x }}{% endfor %}",
          "{% set j = joiner(' | ') %}{% for x in 'ab' %}{{ j() }}{{ x }}{% endfor %}", "{% set c = cycler('odd', 'even') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}", "{% for loopy in [1] %}{{ loopy }}{% endfor %}", "{% for x in [1,2,3] | select('gt', 1) %}{{ loop.last }}{{ x }}{% endfor %}", "{% set g = [1,2,3] | map('string') %}{{ g | first }}{{ g | list }}{{ g | list }}"):
    case("loop", t, messages=CHAT)

# --- numbers, operators
expressions("number", "1 + 2 * 3 - 4 / 2", "7 // 2", "-7 // 2", "7 % -3", "-7 % 3", "7.5 // 2", "-7.5 % 2", "2 ** 10", "2 ** -1", "2 ** 3 ** 2", "-2 ** 2", "1 / 3", "10 / 5", "1e3", "1.5e-7", "1e16", "1e15", "123456789012345678.0", "0.1 + 0.2", "1e22", "1e23", "5e-324", "1.7976931348623157e308", "0.0001", "0.00001", "-0.0", "100000000000000000000 + 1", "0x1f", "0b101", "0o17", "1_000", "1_0.5",
            "true + 1", "true == 1", "1 == 1.0", "1 < 2 < 3", "1 < 3 < 2", "3 > 2 >= 2 != 1", "1 == 1 in [true]", "'a' < 'b'", "[1, 2] < [1, 3]", "(1, 2) < (1,)", "1 / 0", "1 // 0", "1 % 0", "1.0 % 0", "1 + '1'", "'1' + 1", "'a' * 3", "3 * 'ab'", "[1] * 2", "[1] + [2]", "(1,) + (2,)", "[1] + (2,)", "-'a'", "1 < 'a'", "none + 1", "'a' ~ 1 ~ 2.0 ~ none ~ true ~ [1, 'b'] ~ {'a': none} ~ missing", "not 1", "not missing", "1 and 2", "0 or 'x'", "none and 1", "'' or []", "1 if true", "1 if false", "(1 if false) is defined", "1 if false else 2 if false else 3",
            "3 is odd", "4 is even", "6 is divisibleby 3", "6 is divisibleby(4)", "1 in [1, 2]", "3 not in [1, 2]", "'b' in {'b': 1}", "'x' in 'xyz'", "1 in 'a'", "1 in 5", "'a' in missing", "not 1 in [2]", "2.5 | round", "3.5 | round", "2.675 | round(2)", "1234.5 | round(-2)", "1234 | round(-2)", "1250 | round(-2)", "2.1 | round(0, 'ceil')", "2.19 | round(1, 'floor')", "7 | round", "'3.7' | int", "'abc' | int", "'abc' | int(5)", "' 42 ' | int", "3.99 | int", "-3.99 | int", "'1e3' | int", "'0x1A' | int(0, 16)", "'ff' | int(base=16)", "'12' | float", "'x' | float(1.5)", "'1_000' | int", "none | int", "[1] | int(3)", "true | int",
            "-5 | abs", "(-5) | abs", "2.50", "5 | string + 'x'", "5 | float", "1e400", "-1e400", "(1e400 - 1e400) | string", "10", "7.0 // 2.0", "1 == '1'", "none == none", "missing == missing2", "missing == none", "1.0 is integer", "1 is float", "true is integer", "true is number", "1.5 is number", "2 ** 100", "(2 ** 64) % 10", "[1, 3, 2] | max", "['b', 'A'] | min", "[] | max", "[1, 2.5] | sum", "[[1], [2]] | sum(start=[])", "[{'a': 1}, {'a': 2}] | sum(attribute='a')", "1 + missing", "missing + 1", "'a' + missing", "missing < 1", "missing[0]", "missing.a", "-missing", "missing()", "missing | upper", "missing | length", "missing | list", "missing | default('d')", "missing | join", "missing.a | default('d')")

# --- texts
expressions("text", "'it\\'s' ~ \"a\\\"b\"", "'a\\n\\t\\\\b'", "'\\x41\\u00e9\\U0001F600\\101'", "'\\q\\d'", "'a' 'b' \"c\"", "['it\\'s', \"q\\\"\", 'both\\'\"', 'a\\nb\\t\\x00\\x7f\\u00a0\\u200b\\u3000é😀\\\\']", "'😀é日本' | length", "'😀é日本'[0]", "'😀é日本'[1:3]", "'😀é日本'[::-1]", "'abcdef'[1:4]", "'abcdef'[-3:]", "'abcdef'[:-2]", "'abcdef'[::2]", "'abcdef'[4:1:-1]", "'abcdef'[10:]", "'abcdef'[-100:2]", "'abc'[5]", "'abc'[5] is defined", "'abc'['x']", "'abc'.x", "'abc'[::0]", "tool.a[1:]", "none_[1:]", "text['a':]", "text[none:2]", "number[1:]", "mapping_[1:]", "[1, 2, 3][-2:none]",
            "'  a b '.strip() ~ '|'", "'xxaxx'.strip('x')", "'xxaxx'.lstrip('x')", "'xyaxy'.rstrip('yx')", "'\\x1c a\\u2003'.strip()", "' a  b c '.split()", "'a,b,,c'.split(',')", "'a,b,c'.split(',', 1)", "'a,b,c'.rsplit(',', 1)", "' a b  c '.split(none, 1)", "' a b  c '.rsplit(none, 1)", "''.split()", "''.split(',')", "'abc'.split('')", "'a</think>b</think>c'.split('</think>')[-1]", "'a b'.split(' ')[0].rstrip('\\n')", "'l1\\nl2\\r\\nl3\\x0bl4\\n'.splitlines()", "'l1\\nl2'.splitlines(true)", "'abc'.startswith('ab')", "'abc'.startswith(('x', 'a'))", "'abc'.endswith('bc')", "'abc'.startswith('b', 1)", "'abc'.startswith(1)",
            "'aXbX'.replace('X', '-')", "'aXbX'.replace('X', '-', 1)", "'abc'.replace('', '.')", "'aXbX' | replace('X', '-', 1)", "'abc' | replace('', '.', 2)", "123 | replace(2, 'x')", "'abc'.find('c')", "'abc'.find('z')", "'abc'.index('z')", "'😀abc'.find('c')", "'abcabc'.rfind('b')", "'aaa'.count('a')", "'aaa'.count('')", "'-'.join(['a', 'b'])", "'-'.join([1])", "'-'.join('abc')", "'a=b=c'.partition('=')", "'a=b=c'.rpartition('=')", "'abc'.partition('z')", "'abc'.rpartition('z')", "'7'.zfill(3)", "'-7'.zfill(4)", "'a'.ljust(3) ~ '|'", "'a'.rjust(3, '*')", "'ab'.center(5, '*')", "'abc'.center(6, '*')", "'a' | center(4) ~ '|'", "'prefix-x'.removeprefix('prefix-')", "'x.txt'.removesuffix('.txt')", "'x'.removesuffix('')",
            "'hello wORLD'.title()", "\"they're bill's\".title()", "\"they're bill's x-y (z)\" | title", "'hELLO'.capitalize()", "'hELLO wORLD' | capitalize", "'Straße'.upper()", "'ΑΣ ΣΑΣ'.lower()", "'İ'.lower() | length", "'ǆ'.title()", "'ﬁne'.capitalize()", "'aBc'.swapcase()", "'ß'.casefold()", "'abc'.isalpha()", "'a1'.isalnum()", "'12'.isdigit()", "'½'.isnumeric()", "''.isalpha()", "' \\n'.isspace()", "'AB1'.isupper()", "'ab1'.islower()", "'1'.isupper()", "'ab' is lower", "'AB' is upper", "'é'.isascii()", "'x'",
            "'%s is %d and %.2f' % ('a', 3, 2.675)", "'%s' % 'x'", "'%s' % [1]", "'%5s|%-5s|%05d|%+d|%x|%X|%o|%#x' % ('a', 'b', 42, 1, 255, 255, 8, 255)", "'%(a)s-%(b)03d' % {'a': 1, 'b': 2}", "'%d%%' % 50", "'%e %g %g' % (12345.678, 0.00001, 123456789)", "'%r' % 'a'", "'%c' % 65", "'%s %s' % 'x'", "'%s' % ('a', 'b')", "'%d' % 'x'", "'%q' % 1", "'%' % 1", "'%*d' % (5, 42)", "'%.3s' % 'abcdef'", "'%s %s' | format('a', 1)", "'%(x)s' | format(x=2)", "'{} {}'.format('a', 1)", "'{1} {0}'.format('a', 'b')", "'{x} {y[0]} {z[k]}'.format(x=1, y=[7], z={'k': 2})", "'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')", "'{:05d} {:,} {:.2f} {:e} {:g} {:x} {:b} {:+} {:%}'.format(42, 1234567, 3.14159, 12345.6789, 0.0001, 255, 5, 3, 0.25)", "'{!r} {!s}'.format('a', 'b')", "'{{}} {}'.format(1)", "'{'.format(1)", "'{}'.format()", "'{a}'.format()", "'{0.role}'.format(messages[0])", "'{:d}'.format('a')", "'{:.1f}'.format(2.25)", "'{:5}|{:5}|'.format(3, 'a')", "'{:,.2f}'.format(1234567.891)", "'{:.3}'.format('abcdef')", "'{:08.3f}'.format(-3.14159)",
            "'a\\nb\\n\\nc' | indent", "'a\\nb' | indent(2, true)", "'a\\n\\nb' | indent(2, blank=true)", "'a\\nb' | indent('> ')", "'' | indent(first=true)", "'a long text that is cut' | truncate(10)", "'a long text that is cut' | truncate(10, true)", "'a long text' | truncate(9, true, '…', 0)", "'abc' | truncate(5)", "'a b, c' | wordcount", "'<a href=\"x\">&\\'' | e", "'<a>' | safe", "'<a>' | escape | string", "'a b/c?d=é&' | urlencode", "{'a': 'b c', 'd': 1} | urlencode", "' x ' | trim ~ '|'", "'xax' | trim('x')", "'abc' | reverse", "'abc' | first", "'abc' | last", "'abc' | list", "'abc' | upper | lower", "'b a' | sort", "5 | upper", "none | lower", "'abc' | batch(2) | list", "'abcdefg' | slice(3) | list", "'abcde' | slice(2, 'x') | list", "'abc' | batch(2, 'x') | list", "'x'", "'abc'.__class__", "'x'", "'é' | string", "'a' in 'abc' and 'd' not in 'abc'", "'A'.lower() == 'a'", "'abc' is string", "'\\ud83d' | length", "'a' < 'é' < '日' < '😀'", "'\uff5e' < '😀'", "'x' is sameas 'x'", "''.join(messages | map(attribute='role'))", "'a\\tb'.split('\\t')", "'x'", messages=CHAT, none_=None, text="abc", number=5, mapping_={}, tool=TOOL)

# --- lists, mappings
expressions("collection", "[1, 'a', none, true, 2.0, [], {}, (), (1,), (1, 2)]", "{'a': 1, 2: 'b', none: [1], true: 0}", "{1: 'a', 1.0: 'b', true: 'c'}", "{'a': 1}.a", "{'a': 1}['a']", "{'a': 1}.b", "{'a': 1}.b is defined", "{'a': 1}['b'] is none", "{'a': 1}.get('b')", "{'a': 1}.get('b', 2)", "{'items': 5}['items']", "{'a': 1, 'b': 2}.keys()", "{'a': 1, 'b': 2}.values() | list", "{'a': 1, 'b': 2}.items() | list", "{'a': 1}.items()", "{'a': 1} | items | list", "missing | items | list", "5 | items | list", "{'b': 1, 'A': 2, 'c': 0} | dictsort", "{'b': 1, 'A': 2, 'c': 0} | dictsort(true)", "{'b': 1, 'A': 2, 'c': 0} | dictsort(by='value', reverse=true)", "{[1]: 2}", "{'a': 1}[[1]]", "{'a': 1}.update({})", "[1].append(2)", "[1, 2, 1].count(1)", "[1, 2].index(2)", "[1, 2].index(5)", "[1, 2, 3][1:]", "[1, 2, 3][::-1]", "[1, 2, 3][-1]", "[1, 2, 3][7]", "[1, 2, 3].0", "[1, 2, 3][1.0]", "[1][true]", "(1, 2, 3)[:2]", "[1] == [1]", "{'a': [1]} == {'a': [1.0]}", "(1,) == [1]", "[[1, 2], [3]] | map('length') | list", "[[1, 2], [3]] | map('join', '+') | list", "messages | map(attribute='role') | list", "messages | map(attribute='nope', default='x') | list | length", "messages | map(attribute='content.0.text', default='-') | list", "messages | selectattr('role', 'equalto', 'user') | list | length", "messages | selectattr('tool_calls') | map(attribute='role') | list", "messages | selectattr('tool_calls', 'defined') | list | length", "messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | join(',')", "messages | selectattr('role', '==', 'tool') | first | tojson", "(messages | selectattr('role', 'eq', 'nobody') | first) is defined", "messages | selectattr('role', 'eq', 'nobody') | list | last | default('none')", "messages | groupby('role') | map('first') | list", "[1, 0, 2] | select | list", "[1, 2, 3, 4] | select('even') | list", "[1, 2, 3] | reject('odd') | list", "[1, 2, 3] | select('gt', 1) | list", "['a', 'B', 'c'] | sort", "['a', 'B', 'c'] | sort(case_sensitive=true)", "[3, 1, 2] | sort(reverse=true)", "[{'a': 2, 'b': 1}, {'a': 1, 'b': 2}] | sort(attribute='a') | map(attribute='b') | list", "[{'a': 1, 'b': 2}, {'a': 1, 'b': 1}] | sort(attribute='a,b') | map(attribute='b') | list", "[1, 'a'] | sort", "['a', 'A', 'b', 'a'] | unique | list", "['a', 'A'] | unique(true) | list", "[[1]] | unique | list", "[1, 2, 3] | reverse | list", "[1, 2] | first", "[] | first", "([] | last) is defined", "[1, 2] | last", "{'a': 1} | first", "[1, 2, 3] | join(', ')", "[1, none, 'a'] | join", "[{'x': 1}, {'x': 2}] | join('-', 'x')", "[1, 2, 3] | batch(2) | list", "[1, 2] | length", "5 | length", "none | length", "{'a': 1} | length", "[1, 2] | map('string') | length", "5 | list", "1", "dict(a=1, b=2)", "dict([('a', 1)], c=3)", "dict({'a': 1})", "[1, 2] is iterable", "'a' is iterable", "5 is iterable", "{} is mapping", "[] is mapping", "[] is sequence", "'a' is sequence", "{} is sequence", "missing is sequence", "missing is iterable", "none is none", "missing is none", "none is defined", "[] is sameas []", "1 is in [1, 2]", "3 is not in [1, 2]", "[1, 2] is not string", "true is boolean", "1 is boolean", "true is true", "1 is true", "false is false", "range is callable", "'upper' is filter", "'nope' is filter", "'odd' is test", "1 is eq 1", "1 is ne(2)", "2 is ge 2", "1 is nosuchtest", "1 | nosuchfilter", "[1, 2] in [[1, 2]]", "(1, 2) in [(1, 2)]", "[x for x in y]", "{'a': 1, **b}", "[1, 2,]", "{'a': 1,}", "(1,)", "()", "messages[0]", "messages[1].content", "messages[-1]['role']", "messages[99].role", "messages.0.role", "messages[0].get('content', '') | trim", "messages[4].tool_calls[0].function.arguments", "messages[4]['tool_calls'][0]['function'] | tojson", messages=CHAT)

# --- JSON
expressions("json", "tool | tojson", "tool | tojson(indent=2)", "tool | tojson(indent=4)", "tool | tojson(separators=(',', ':'))", "tool | tojson(sort_keys=true)", "tool | tojson(ensure_ascii=true)", "[tool] | tojson(indent='\\t')", "[] | tojson(indent=2)", "{} | tojson(indent=2)", "[[], {}] | tojson(indent=1)", "'a\"\\\\\\n\\t\\r\\x08\\x0c\\x01\\x7f</é😀\\u2028' | tojson", "'é😀\\x7f' | tojson(ensure_ascii=true)", "1.0 | tojson", "1e400 | tojson", "1e16 | tojson", "none | tojson", "(1, 2) | tojson", "{1: 2, none: 3, true: 4, 1.5: 5} | tojson", "missing | tojson", "range(3) | tojson", "[1] | map('string') | tojson", "{'b': 1, 'a': 2} | tojson(sort_keys=true, indent=0)", "'<>&\\'' | tojson", "123456789012345678901234567890 | tojson", "big", "messages | tojson", "tool.function.parameters.properties | items | list | length", "tool.function.parameters.properties.days.type | join(' | ')", tool=TOOL, messages=CHAT, big=12345678901234567890123)

# --- dates
expressions("date", *["strftime_now('%s')" % f for f in ("%d %b %Y", "%Y-%m-%d", "%A, %B %d, %Y", "%H:%M:%S", "%I:%M %p", "%y%m%d", "%j %U %W %w %u", "%-d.%-m.", "%e|%D|%F|%T|%R", "%f", "%Z%z|", "%%x%n%t", "%a %h %C %G-W%V", "100%")])

# --- errors
for t in ("{{ raise_exception('no ' ~ 1) }}", "{% if true %}", "{% endif %}", "{% for %}", "{% for x in %}{% endfor %}", "{{ }}", "{{ 1", "{{ 'a }}", "{# x", "{% nosuch %}", "{{ a b }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{% set %}", "{% set x %}", "{% set 1 = 2 %}", "{% set true = 2 %}", "{% if %}{% endif %}", "{% macro %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% call m %}{% endcall %}", "{% break %}", "{% continue %}", "{{ x is }}", "{{ x | }}", "{{ 1 is odd is even }}", "{{ f(a=1, 2) }}", "{{ f(**a, b) }}", "{{ ! }}", "{{ a.'b' }}", "{{ {1} }}", "{{ {1: } }}", "{% else %}", "{% for x in [1] %}{% endif %}", "{% if 1 %}{% else %}{% elif 2 %}{% endif %}",
          "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{{ 1 if }}", "{{ 1 if 2 else }}", "{{ not }}", "{{ 1 + }}", "{{ * }}", "{{ a. }}", "{{ a[ }}", "{{ a[1 }}", "{{ a[] }}", "{% do x %}", "{% endfor %}", "{% filter %}{% endfilter %}", "{% with a %}{% endwith %}", "{{ x y z", "{{ 007 }}", "{{ 1.2.3 }}", "{{ '\\x4' }}", "{{ '\\u12' }}", "{{ $ }}", "{{ a = 1 }}", "{{ 1 }} }} %} #}", "{% %}", "{{ 5() }}", "{{ 'a'() }}", "{{ none.x.y }}", "{{ none['x'] }}", "{{ none.x }}", "{{ messages.x.y }}", "{{ tojson }}", "{{ '' | tojson(nope=1) }}", "{{ 'a' | replace('b') }}", "{{ 'a'.strip(1) }}", "{{ 'a'.split(1) }}", "{{ 'a' | join(1, 2, 3) }}", "{{ [1] | map('nope') | list }}", "{{ namespace(1) }}", "{{ strftime_now() }}", "{{ 1 }}"):
    case("error", t, messages=CHAT)

# --- whole templates, as models have them
case("whole", """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\nCall them so:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
""", messages=CHAT, tools=[TOOL], add_generation_prompt=True, enable_thinking=False)
case("whole", """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {%- if message.content is string %}{{- message['content'] | trim }}
        {%- else %}{%- for content in message['content'] %}{%- if content['type'] == 'image' %}{{- '<|image|>' }}{%- elif content['type'] == 'text' %}{{- content['text'] | trim }}{%- endif %}{%- endfor %}
        {%- endif %}
        {{- '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one tool call at once") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {%- if builtin_tools is defined and tool_call.name in builtin_tools %}
            {{- "<|python_tag|>" + tool_call.name + ".call(" }}
            {%- for arg_name, arg_val in tool_call.arguments | items %}
                {{- arg_name + '="' ~ arg_val ~ '"' }}
                {%- if not loop.last %}{{- ", " }}{%- endif %}
            {%- endfor %}
            {{- ")" }}
        {%- else %}
            {{- '{"name": "' + tool_call.name + '", ' }}
            {{- '"parameters": ' }}
            {{- tool_call.arguments | tojson }}
            {{- "}" }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}{%- else %}{{- message.content }}{%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""", messages=CHAT, tools=[TOOL], builtin_tools=["code_interpreter", "get_weather"], bos_token="<s>", add_generation_prompt=True)
case("whole", """{%- set loop_messages = messages | rejectattr("role", "equalto", "system") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("turns, please") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {{- "[INST] " ~ message["content"] ~ "[/INST]" }}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}{{- raise_exception("nine characters") }}{%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}{%- set content = message.content.content %}{%- else %}{%- set content = message.content %}{%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ', ' }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- endif %}
{%- endfor %}
""", messages=CHAT, tools=[TOOL], bos_token="<s>", eos_token="</s>")
case("whole", """{%- macro json_type(spec) -%}
{%- if spec.type is string -%}{{ {'string': 'str', 'integer': 'int', 'number': 'float', 'boolean': 'bool'}.get(spec.type, 'Any') }}
{%- elif spec.type is iterable -%}Union[{%- for t in spec.type -%}{{ json_type({'type': t}) }}{{ ',' if not loop.last else '' }}{%- endfor -%}]
{%- elif spec['$ref'] is defined -%}{{ spec['$ref'].split('/')[-1] }}
{%- else -%}object{%- endif -%}
{%- endmacro -%}
{%- macro signature(tool, sep=', ') -%}
{{ tool.name }}({%- for name, spec in tool.parameters.properties.items() -%}{{ name }}: {{ json_type(spec) }}{% if name not in tool.parameters.required %} = {{ spec.default | default('None') }}{% endif %}{{ sep if not loop.last }}{%- endfor -%})
{%- endmacro -%}
{% for tool in tools | map(attribute='function') %}
def {{ signature(tool) }}:
    \"\"\"{{ tool.description | indent(4) }}

    Args:
{% for name, spec in tool.parameters.properties | dictsort %}
        {{ name | title }} ({{ spec.description or 'n/a' }}){{ '' if loop.last else ',' }}
{% endfor %}
    \"\"\"
{% endfor %}
{% for message in messages if message.role != 'tool' %}
{% if loop.changed(message.role) %}
== {{ message.role | upper }} ==
{% endif %}
{% if message.content is string %}
{{ message.content.strip() | replace('\\n', '\\n  ') }}
{% elif message.content is iterable and message.content is not mapping %}
{% for part in message.content %}{{ part.text if part.type == 'text' else '<' ~ part.type ~ '>' }}{% endfor %}

{% endif %}
{% generation %}{{ message.content if message.role == 'assistant' and message.content else '' }}{% endgeneration %}
{% endfor %}
""", messages=CHAT, tools=[TOOL])

# --- the same templates for other conversations
for extra in (CHAT[:2], CHAT[1:3], CHAT[:1] + CHAT[3:4], [], CHAT + CHAT[1:]):
    for group, template, variables in [c for c in CASES if c[0] == "whole"][:4]:
        case("whole-other", template, **{**variables, "messages": extra, "tools": None, "add_generation_prompt": False})


def main(out):
    written = []
    for i, (group, template, variables) in enumerate(CASES):
        line = {"name": f"{group}-{i}", "template": template}
        if variables and any(v in template for v in variables):
            line["variables"] = {k: v for k, v in variables.items() if k in template}
        try:
            line["rendered"] = ENV.from_string(template).render(**variables)
        except (jinja2.exceptions.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AssertionError, SyntaxError, RecursionError) as e:
            line["error"] = ("" if isinstance(e, jinja2.exceptions.TemplateError) else type(e).__name__ + ": ") + str(e)
        written.append(json.dumps(line, ensure_ascii=True, separators=(",", ":")))
    with open(os.path.join(out, "cases.jsonl"), "w", encoding="utf-8", newline="\n") as f:
        f.write("\n".join(written) + "\n")
    info = {"what": "small chat templates rendered by jinja2", "versions": {"jinja2": jinja2.__version__}, "tolerance": "exact",
            "idioms": "cases.jsonl: name, template, variables, and rendered or error (the rendering must fail)", "now": NOW.isoformat(), "cases": len(written)}
    with open(os.path.join(out, "golden.json"), "w", encoding="utf-8", newline="\n") as f:
        json.dump(info, f, indent=1)
        f.write("\n")
    print(len(written), "cases")


main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
