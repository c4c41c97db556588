using System.Diagnostics;
using NanoLora.Data;

namespace NanoLora.Tests.Data.Templates;

/// <summary>Templates from files that nobody vouches for: whatever they are, they render, or are refused as documented, soon and without much memory.</summary>
public sealed class ChatTemplateLimitsTests
{
    private static readonly string[] s_endless =
    [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{% call a() %}{% endcall %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=['ab']) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x < ns.y }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x={}) %}{% for i in range(9999) %}{% set ns.x = {'a': ns.x} %}{% endfor %}{{ ns.x | tojson(indent=9) }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
        "{{ 'a' * 999999999999 }}", "{{ [1] * 999999999999 }}", "{{ 2 ** 999999999 }}", "{{ 9 ** (9 ** 9) }}", "{{ (1,) * 99999999 }}",
        "{% set ns = namespace(x=3) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
        "{{ range(0, 9999999999999) }}", "{{ 'a' | center(999999999) }}", "{{ 'a'.ljust(999999999) }}", "{{ 'a'.zfill(2000000000) }}",
        "{{ 'a' | indent(999999999) }}", "{{ '%999999999d' % 1 }}", "{{ '%.999999999f' % 1.5 }}",
        "{{ '{:999999999}'.format('a') }}", "{{ '%*d' % (999999999, 1) }}", "{{ [1] | batch(999999999, 1) | list }}", "{{ [1] | slice(999999999) | list }}",
        "{{ [[1]] | tojson(indent=99999999) }}",
        "{{ ('a' * 4000) | replace('', 'b' * 4000) }}", "{{ ('a' * 4000) | replace('a', 'b' * 9000) }}", "{{ ('b' * 9000).join('a' * 4000) }}",
        "{{ range(9999) | join('b' * 4000) }}", "{{ ('a\n' * 9000) | indent(4000) }}",
        "{% for i in range(99999) %}{{ 'abcdefgh' * 999 }}{% endfor %}", "{% macro m(n) %}{{ m(n + 1) ~ m(n + 1) }}{% endmacro %}{{ m(1) }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = ns.x + [i] %}{% endfor %}",
        "{% for i in range(99999) %}{{ range(99999) | list | length }}{% endfor %}",
        "{% set x = range(9999) | list %}{% for i in x %}{{ x | sort | first }}{% endfor %}",
        "{% set x = 'a' * 99999 %}{% for i in range(99999) %}{{ x | length }}{% endfor %}",
        "{% set x = 'a' * 99999 %}{% for i in range(99999) %}{{ 'b' in x }}{% endfor %}",
        "{% set x = 'a' * 999999 %}{% for i in range(99999) %}{{ (x ~ 'b') in (x ~ x) }}{% endfor %}",
        "{% set x = 'a' * 999999 %}{% for i in range(99999) %}{{ x == x ~ '' }}{{ x < x ~ '' }}{{ x is sameas (x ~ '') }}{% endfor %}",
        "{% set x = {'a' * 999999: 1} %}{% for i in range(99999) %}{{ x[x | first] }}{{ x == x.copy() }}{% endfor %}",
        "{% set x = 'a ' * 499999 %}{% for i in range(99999) %}{{ x.split() | length }}{% endfor %}",
        "{% set x = 'ab' * 499999 %}{% for i in range(99999) %}{{ x.strip(x) }}{% endfor %}",
        "{% for i in range(99999) %}{% set x = {10 ** 4000 + i: 1} %}{% endfor %}", "{{ 1 | round(-2000000000) }}{{ '%s' * 99999 % 1 }}",
        "{% set x = 'a' * 999999 %}{{ [x] * 999999 }}", "{{ '{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}'.format('a' * 9999999) }}", "{{ strftime_now('%c' * 999999) }}",
    ];

    public static TheoryData<string> Endless => [.. s_endless];

    [Theory, MemberData(nameof(Endless))]
    public void What_would_not_end_is_refused(string source)
    {
        var limits = new ChatTemplateLimits { MaxSteps = 300_000, MaxText = 2_000_000 };
        var (before, clock) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.StartNew());
        var error = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(source).Render([], new ChatOptions { Limits = limits }));
        Assert.InRange(error.Line, 1, 2);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 512 << 20);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"{clock.Elapsed}: {error.Message}");
    }

    [Theory]
    [InlineData("(", ""), InlineData("[", ""), InlineData("{1:", ""), InlineData("not ", ""), InlineData("-", ""), InlineData("a(", "")]
    [InlineData("a[", ""), InlineData("a|b(", ""), InlineData("1 if 2 else ", ""), InlineData("a is b(", "")]
    [InlineData("(", "1 in a ~ "), InlineData("+", "a|")]
    public void Nesting_without_end_is_refused(string piece, string more)
    {
        foreach (var count in (ReadOnlySpan<int>)[101, 20_000])
            Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse($"{{{{ {string.Concat(Enumerable.Repeat(more + piece, count))}"));
    }

    [Theory]
    [InlineData("{% if 1 %}", "{% endif %}"), InlineData("{% for i in [1] %}", "{% endfor %}"), InlineData("{% macro m() %}", "{% endmacro %}")]
    [InlineData("{% set x %}", "{% endset %}"), InlineData("{% with %}", "{% endwith %}")]
    [InlineData("{% filter upper %}", "{% endfilter %}"), InlineData("{% call m() %}", "{% endcall %}"), InlineData("{% generation %}", "{% endgeneration %}")]
    public void Blocks_within_each_other_have_an_end(string open, string close)
    {
        string Nested(int count) => string.Concat(Enumerable.Repeat(open, count)) + "x" + string.Concat(Enumerable.Repeat(close, count));
        if (!open.Contains("call")) ChatTemplate.Parse(Nested(90)).Render([]);
        Assert.Contains("nested more than", Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(Nested(101))).Message);
        Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(Nested(20_000)));
    }

    // These make deep trees without any recursion in the parser.
    [Theory]
    [InlineData("1", " + 1"), InlineData("1", " * 1"), InlineData("a", " or a"), InlineData("a", ".b"), InlineData("a", "|string"), InlineData("a", "[0]")]
    [InlineData("a", "()"), InlineData("a", " is defined"), InlineData("2", " ** 1")]
    public void Long_chains_render_or_are_refused(string first, string next)
    {
        foreach (var count in (ReadOnlySpan<int>)[50, 5_000, 50_000])
        {
            try { ChatTemplate.Parse($"{{{{ {first}{string.Concat(Enumerable.Repeat(next, count))} }}}}").Render([]); }
            catch (ChatTemplateException) { }
        }
        var filters = string.Concat(Enumerable.Repeat("|upper", 50_000));
        Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse($"{{% filter upper{filters} %}}{{% endfilter %}}").Render([]));
        var chain = string.Concat(Enumerable.Repeat(next, 40));
        if (first is "1" or "2") Assert.NotEmpty(ChatTemplate.Parse($"{{{{ {first}{chain} }}}}").Render([]));
    }

    [Theory]
    [InlineData("{{ ''.__class__ }}"), InlineData("{{ ''.__class__.__mro__ }}"), InlineData("{{ messages.__init__ }}")]
    [InlineData("{{ raise_exception.__globals__ }}"), InlineData("{{ messages.GetType() }}"), InlineData("{{ ''.GetType() }}")]
    [InlineData("{{ ''.Length }}"), InlineData("{{ messages.Count }}"), InlineData("{{ [].append(1) }}"), InlineData("{{ {}.update({}) }}")]
    [InlineData("{{ self._TemplateReference__context }}"), InlineData("{{ '{0.__class__}'.format('') }}")]
    [InlineData("{{ '' | attr('__class__') }}"), InlineData("{{ [''] | map(attribute='__class__') | list }}"), InlineData("{{ environment }}")]
    [InlineData("{{ loop.__class__ }}"), InlineData("{% include '/etc/passwd' %}"), InlineData("{% import 'os' as os %}")]
    public void Nothing_of_the_program_is_reached(string source)
    {
        try { Assert.True(ChatTemplate.Parse(source).Render([]) is "" or "[Undefined]"); }
        catch (ChatTemplateException e) { Assert.InRange(e.Line, 1, 1); }
    }

    // Every template with pieces missing, doubled or swapped gives a text or the documented refusal.
    [Fact]
    public void Damaged_templates_render_or_are_refused()
    {
        var random = new Philox(7, 5);
        ulong draw = 0;
        var options = new ChatOptions
        {
            Limits = new ChatTemplateLimits { MaxSteps = 20_000, MaxText = 20_000 },
            Tools = TemplateValue.Parse("""[{"function": {"name": "f", "x": [1, 2.5, null]}}]"""),
        };
        ChatMessage[] chat = [new("system", "s"), new("user", "u"), new("assistant", "a")];
        string[] sources = [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", "chat"), "*.jinja").Select(File.ReadAllText)];
        string[] pieces = ["{{", "}}", "{%", "%}", "-%}", "{#", "#}", "'", "(", ")", "[", "]", "|", ".", " is ", " in ", " if ", "endfor",
            "{% for x in messages %}", "{% set ", "\\", "\n", "1", "**", "none", "|tojson", "[::-1]", "loop", "😀", "\ud800"];
        var rendered = 0;
        foreach (var source in sources)
        {
            for (var round = 0; round < 150; round++)
            {
                var text = source;
                for (var i = 0; i <= round % 3; i++)
                {
                    var at = random.Below(draw++, text.Length);
                    var length = Math.Min(random.Below(draw++, 12), text.Length - at);
                    text = text[..at] + (random.Below(draw++, 3) == 0 ? "" : pieces[random.Below(draw++, pieces.Length)]) + text[(at + length)..];
                }
                try
                {
                    _ = ChatTemplate.Parse(text).Render(chat, options);
                    rendered++;
                }
                catch (ChatTemplateException e) { Assert.True(e.Message.Length > 20, e.Message); }
            }
        }
        Assert.InRange(rendered, 50, 1300);
    }
}
