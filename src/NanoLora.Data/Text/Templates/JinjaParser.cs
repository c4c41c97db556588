namespace NanoLora.Data;

/// <summary>Makes statements of a template's tokens. Expressions are in JinjaParser.Expressions.cs.</summary>
internal sealed partial class JinjaParser
{
    private readonly string _name;
    private readonly List<JinjaToken> _tokens;
    private readonly int _mostDepth;
    private readonly List<string> _namesSeen = [];          // in order, so that a macro knows what stands in its body
    private int _at, _depth, _loops;

    private JinjaParser(string name, List<JinjaToken> tokens, int mostDepth) => (_name, _tokens, _mostDepth) = (name, tokens, mostDepth);

    private JinjaToken Current => _tokens[_at];

    private JinjaToken Next => _tokens[Math.Min(_at + 1, _tokens.Count - 1)];

    /// <summary>The statements of a template.</summary>
    /// <exception cref="ChatTemplateException">It is not written as a template must be, or nested too deeply.</exception>
    public static List<JinjaStatement> Parse(string name, string source, int mostDepth)
    {
        var parser = new JinjaParser(name, JinjaLexer.Tokens(name, source), mostDepth);
        return parser.Body([], "");
    }

    // Statements up to a tag that begins with one of the names, which is left to the caller; up to the end if there are none.
    private List<JinjaStatement> Body(ReadOnlySpan<string> ends, string opener)
    {
        var statements = new List<JinjaStatement>();
        Deeper();
        while (Current.Kind != JinjaKind.End)
        {
            var token = Take();
            switch (token.Kind)
            {
                case JinjaKind.Data:
                    statements.Add(new DataStatement(token.Line, token.Text));
                    break;
                case JinjaKind.OutputBegin:
                    statements.Add(new OutputStatement(token.Line, Tuple(withCondition: true)));
                    Expect(JinjaKind.OutputEnd);
                    break;
                default:
                    if (Current.Kind == JinjaKind.Name && ends.Contains(Current.Text))
                    {
                        _depth--;
                        return statements;
                    }
                    statements.AddRange(Statement());
                    Expect(JinjaKind.TagEnd);
                    break;
            }
        }
        _depth--;
        if (opener.Length == 0) return statements;
        throw Error($"Unexpected end of template: {opener} is not closed; {string.Join(" or ", ends.ToArray())} was looked for.");
    }

    // The body of a tag, from the tag's own end.
    private List<JinjaStatement> Block(string opener, params ReadOnlySpan<string> ends)
    {
        Skip(":");                                          // as Python would have it; allowed
        Expect(JinjaKind.TagEnd);
        return Body(ends, opener);
    }

    // The same up to the tag that ends it, which is taken.
    private List<JinjaStatement> WholeBlock(string opener, string end)
    {
        var body = Block(opener, end);
        Take();
        return body;
    }

    // A block whose body is not part of the loop around it.
    private List<JinjaStatement> Apart(string opener, string end)
    {
        var loops = _loops;
        _loops = 0;
        var body = WholeBlock(opener, end);
        _loops = loops;
        return body;
    }

    private List<JinjaStatement> Statement()
    {
        var token = Take();
        if (token.Kind != JinjaKind.Name) throw Error("tag name expected", token);
        return token.Text switch
        {
            "set" => [Set(token)],
            "for" => [For(token)],
            "if" => [If(token)],
            "macro" => [Macro(token)],
            "call" => [Call(token)],
            "filter" => [FilterBlock(token)],
            "with" => [With(token)],
            "generation" => [new GenerationStatement(token.Line, Apart("generation", "endgeneration"))],
            "break" or "continue" => [Jump(token)],
            "print" => Print(token),
            "autoescape" => [AutoEscape(token)],
            "block" or "extends" or "include" or "import" or "from" =>
                throw Error($"{token.Text}: a chat template is one file, and parts of others are not supported", token),
            var name => throw Error($"Encountered unknown tag {PyText.Repr(name)}.", token),
        };
    }

    private JinjaStatement Set(JinjaToken token)
    {
        var target = Target(withField: true);
        if (Skip("=")) return new SetStatement(token.Line, target, Tuple(withCondition: true));
        var filter = Current.Is("|") ? (FilterExpression)Filters(null) : null;
        return new SetBlockStatement(token.Line, target, filter, WholeBlock("set", "endset"));
    }

    private ForStatement For(JinjaToken token)
    {
        var target = Target(withField: false);
        if (!SkipName("in")) throw Unexpected("in");
        var items = Tuple(withCondition: false, endsAt: "recursive");
        var test = SkipName("if") ? Expression() : null;
        var recursive = SkipName("recursive");
        _loops++;
        var body = Block("for", "endfor", "else");
        _loops--;
        var otherwise = Take().Text == "else" ? WholeBlock("for", "endfor") : [];
        return new ForStatement(token.Line, target, items, test, recursive, body, otherwise);
    }

    private IfStatement If(JinjaToken token)
    {
        var branches = new List<(JinjaExpression, List<JinjaStatement>)>();
        while (true)
        {
            var test = Tuple(withCondition: false);
            branches.Add((test, Block("if", "elif", "else", "endif")));
            var end = Take();
            if (end.Text == "elif") continue;
            return new IfStatement(token.Line, branches, end.Text == "else" ? WholeBlock("if", "endif") : []);
        }
    }

    private MacroStatement Macro(JinjaToken token)
    {
        var name = ExpectName();
        return new MacroStatement(token.Line, MacroBody(name, Parameters(), "macro", "endmacro"));
    }

    private CallStatement Call(JinjaToken token)
    {
        var parameters = Current.Is("(") ? Parameters() : [];
        if (Expression() is not CallExpression call) throw Error("expected call", token);
        return new CallStatement(token.Line, call, MacroBody("caller", parameters, "call", "endcall"));
    }

    private JinjaMacro MacroBody(string name, List<(string, JinjaExpression?)> parameters, string opener, string end)
    {
        var seen = _namesSeen.Count;
        var body = Apart(opener, end);
        bool Uses(string special) => _namesSeen.IndexOf(special, seen) >= 0;
        return new JinjaMacro(name, parameters, body, Uses("varargs"), Uses("kwargs"), Uses("caller"));
    }

    private List<(string, JinjaExpression?)> Parameters()
    {
        var parameters = new List<(string Name, JinjaExpression? Default)>();
        ExpectSymbol("(");
        while (!Current.Is(")"))
        {
            if (parameters.Count > 0) ExpectSymbol(",");
            var name = ExpectName();
            var fallback = Skip("=") ? Expression() : null;
            if (fallback is null && parameters.Count > 0 && parameters[^1].Default is not null) throw Error("non-default argument follows default argument");
            parameters.Add((name, fallback));
        }
        ExpectSymbol(")");
        return parameters;
    }

    private FilterStatement FilterBlock(JinjaToken token)
    {
        var first = FilterCall(null);
        return new FilterStatement(token.Line, (FilterExpression)Filters(first), WholeBlock("filter", "endfilter"));
    }

    private WithStatement With(JinjaToken token)
    {
        var values = new List<(JinjaTarget, JinjaExpression)>();
        while (Current.Kind != JinjaKind.TagEnd)
        {
            if (values.Count > 0) ExpectSymbol(",");
            var target = Target(withField: false);
            ExpectSymbol("=");
            values.Add((target, Expression()));
        }
        return new WithStatement(token.Line, values, WholeBlock("with", "endwith"));
    }

    private JumpStatement Jump(JinjaToken token) =>
        _loops > 0 ? new JumpStatement(token.Line, token.Text == "break") : throw Error($"{token.Text} outside of a loop", token);

    private List<JinjaStatement> Print(JinjaToken token)
    {
        var statements = new List<JinjaStatement>();
        while (Current.Kind != JinjaKind.TagEnd)
        {
            if (statements.Count > 0) ExpectSymbol(",");
            statements.Add(new OutputStatement(token.Line, Expression()));
        }
        return statements;
    }

    // Nothing is escaped in a chat, so only that can be said.
    private WithStatement AutoEscape(JinjaToken token)
    {
        if (Expression() is not ConstantExpression { Value: BoolValue { Value: false } }) throw Error("autoescape: only false is supported", token);
        return new WithStatement(token.Line, [], WholeBlock("autoescape", "endautoescape"));
    }

    // A name, a namespace's field where one may stand, or several with commas between them.
    private JinjaTarget Target(bool withField)
    {
        var line = Current.Line;
        var parts = new List<JinjaTarget>();
        var several = false;
        while (true)
        {
            if (Current.Kind is not JinjaKind.Name && !Current.Is("(")) break;
            if (parts.Count > 0 && Current.IsName("in")) break;
            parts.Add(OneTarget(withField));
            if (!Skip(",")) break;
            several = true;
        }
        if (parts.Count == 0) throw Error($"Expected a name to assign to, got {PyText.Repr(Current.Described)}");
        return several ? new JinjaTarget(line, "", Parts: parts) : parts[0];
    }

    private JinjaTarget OneTarget(bool withField)
    {
        var token = Current;
        if (Skip("("))
        {
            Deeper();
            var inner = Target(withField);
            _depth--;
            ExpectSymbol(")");
            return inner;
        }
        var name = ExpectName();
        if (name is "true" or "false" or "none" or "True" or "False" or "None") throw Error("can't assign to 'const'", token);
        var field = withField && Skip(".") ? ExpectName() : null;
        return new JinjaTarget(token.Line, name, field);
    }

    private JinjaToken Take()
    {
        var token = Current;
        if (_at + 1 < _tokens.Count) _at++;
        return token;
    }

    private bool Skip(string symbol)
    {
        if (!Current.Is(symbol)) return false;
        Take();
        return true;
    }

    private bool SkipName(string name)
    {
        if (!Current.IsName(name)) return false;
        Take();
        return true;
    }

    private void Expect(JinjaKind kind)
    {
        if (Current.Kind != kind) throw Unexpected(new JinjaToken(kind, "", 0).Described);
        Take();
    }

    private void ExpectSymbol(string symbol)
    {
        if (!Skip(symbol)) throw Unexpected(symbol);
    }

    private string ExpectName()
    {
        if (Current.Kind != JinjaKind.Name) throw Unexpected("name");
        return Take().Text;
    }

    private void Deeper()
    {
        if (++_depth > _mostDepth) throw Error($"tags and expressions are nested more than {_mostDepth} deep");
    }

    private ChatTemplateException Unexpected(string expected) => Current.Kind == JinjaKind.End
        ? Error($"unexpected end of template, expected {PyText.Repr(expected)}.")
        : Error($"expected token {PyText.Repr(expected)}, got {PyText.Repr(Current.Described)}");

    private ChatTemplateException Error(string problem, JinjaToken? token = null) => new(_name, (token ?? Current).Line, problem);
}
